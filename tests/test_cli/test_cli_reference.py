"""Every command and option explains itself, stands in docs/cli.md, and changes something."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer

from memtune.cli import app
from memtune.config import Config, TransferConfig

DOCS = Path(__file__).parents[2] / "docs" / "cli.md"
COMMON = "Options that mean the same everywhere"


class Option(NamedTuple):
    command: str
    name: str
    about: str | None


def commands(group: Any = None, path: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in (group or typer.main.get_command(app)).commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{path}{name} ")
        else:
            yield f"{path}{name}", command


COMMANDS = dict(commands())
OPTIONS = [
    Option(command, parameter.opts[0], parameter.help)
    for command, details in COMMANDS.items()
    for parameter in details.params
    if parameter.param_type_name == "option" and parameter.name != "help"
]


def sections() -> dict[str, str]:
    _, *parts = re.split(r"^## ", DOCS.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {title: text for title, _, text in (part.partition("\n") for part in parts)}


def section_of(command: str) -> str:
    titled = re.compile(rf"memtune {command}(?= [A-Z]|$)")
    return "".join(text for title, text in sections().items() if titled.match(title))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_has_help_and_a_section_in_the_docs(command: str) -> None:
    assert COMMANDS[command].help
    assert section_of(command)
    assert all(p.help for p in COMMANDS[command].params if p.param_type_name == "argument")


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: f"{option.command} {option.name}")
def test_an_option_has_help_and_stands_in_the_docs(option: Option) -> None:
    assert option.about
    assert re.search(rf"`{option.name}\b", section_of(option.command) + sections()[COMMON])


@pytest.mark.parametrize("command", COMMANDS)
def test_the_docs_name_no_option_that_is_not_there(command: str) -> None:
    there = {option.name for option in OPTIONS if option.command == command} | {"--version", "--help"}
    assert set(re.findall(r"`(--[\w-]+)", section_of(command))) <= there


BARE = {
    "demo": "",
    "learn": "new.jsonl",
    "ask": "up?",
    "chat": "",
    "explain": "up?",
    "facts list": "",
    "facts show": "f1",
    "facts add": "--question q --answer a",
    "facts update": "f1 --answer a",
    "facts forget": "f1",
    "facts phrase": "f1 so?",
    "facts export": "",
    "facts archive": "f1",
    "facts restore": "f1",
    "certify": "f1",
    "purge": "f1",
    "export": "a.memory",
    "import": "a.memory",
    "push": "there",
    "pull": "there",
    "rebase": "--model other --out new",
    "consolidate": "",
    "regroup": "",
    "migrate": "",
    "inbox list": "",
    "inbox show": "q1",
    "inbox drop": "q1",
    "inbox clear": "",
    "inbox teach": "q1 --answer a",
    "router report": "",
    "router calibrate": "",
    "skill learn": "new.jsonl --name sql",
    "skill list": "",
    "skill show": "sql",
    "skill forget": "sql",
    "skill eval": "sql",
    "data check": "facts.jsonl",
    "eval": "",
    "compare": "facts.jsonl",
    "recipe": "facts.jsonl",
    "sweep": "facts.jsonl --set r_value=8",
    "lab use": "",
    "lab passages": "",
    "lab retention": "facts.jsonl",
    "lab capacity": "",
    "log": "",
    "show": "",
    "diff": "v1",
    "rollback": "v1",
    "branch": "x",
    "tag": "x",
    "merge": "x",
    "admit": "",
    "promote": "",
    "note": "v1 good",
    "stats": "",
    "gc": "",
    "repair": "",
    "serve": "",
    "keys add": "shop",
    "keys list": "",
    "keys revoke": "shop",
    "verify": "",
    "doctor": "",
}
"""How each command is called at the least; what is typed into `chat` is `so?`."""

AT = Path("memory@v2")
PLACE = {
    "--at": ("v2", "load", {"memory": AT}),
    "--memory": ("elsewhere", "load", {"memory": Path("elsewhere")}),
    "--model": ("other", "load", {"model": "other"}),
    "--set": ("imprint.margin=3", "load", {"config": Config().with_settings(["imprint.margin=3"])}),
}
KEEPING = {"--inbox": ("", "load", {"config": Config().with_settings(["inbox.keep=true"])})}
FOLDER = {"--memory": ("elsewhere", "open", {"memory": Path("elsewhere")}), "--at": ("v2", "open", {"memory": AT})}
SIGNED = {"--author": ("ada", "load", {"author": "ada"})}
SIGNED_HISTORY = FOLDER | {"--author": ("ada", "open", {"author": "ada"})}
DATA = {"--data": ("there", "open", {"data": Path("there")})}
WHERE = {"--where": ("group=sky", "facts", {"where": {"group": "sky"}})}
DECODING = {
    "--unknown": ("abstain", {"unknown": "abstain"}),
    "--temperature": ("0.7", {"temperature": 0.7}),
    "--top-p": ("0.9", {"top_p": 0.9}),
    "--seed": ("5", {"seed": 5}),
    "--max-new-tokens": ("9", {"max_new_tokens": 9}),
    "--stop": ("END", {"stop": ("END",)}),
}
USER = {"role": "user", "content": "up?"}
SYSTEM = {"role": "system", "content": "Be brief."}


def _measuring(verb: str) -> dict[str, tuple[str, str, dict[str, Any]]]:
    """What all commands that measure take."""
    return {
        "--seed": ("7", verb, {"seed": 7}),
        "--threads": ("1", "use_threads", {"args": (1,)}),
        "--model": PLACE["--model"],
        "--set": PLACE["--set"],
    }


CARD = {"--out": ("card", "write_card", {"args": (Path("card"), False)})}

REACHES: dict[str, dict[str, tuple[str, str, dict[str, Any]]]] = {
    "demo": {name: PLACE[name] for name in ("--memory", "--model", "--set")},
    "learn": PLACE
    | SIGNED
    | {
        "--kind": ("kv", "learn", {"kind": "kv"}),
        "--on-conflict": ("keep-last", "learn", {"on_conflict": "keep-last"}),
        "--skip-bad": ("", "learn", {"skip_bad": True}),
        "--proof": ("full", "learn", {"proof": "full"}),
        "--resume": ("", "learn", {"resume": True}),
        "--measure-reading": ("", "learn", {"measure_reading": True}),
    },
    "ask": PLACE
    | KEEPING
    | {name: (value, "ask", expected) for name, (value, expected) in DECODING.items()}
    | {
        "--no-memory": ("", "ask", {"memory": False}),
        "--raw": ("", "ask", {"raw": True}),
        "--system": ("Be brief.", "ask", {"args": ([SYSTEM, USER],)}),
        "--schema": ('{"price": "int"}', "ask", {"schema": {"price": "int"}}),
        "--stream": ("", "stream", {"args": ("up?",)}),
    },
    "chat": PLACE
    | KEEPING
    | {name: (value, "stream", expected) for name, (value, expected) in DECODING.items()}
    | {"--system": ("Be brief.", "stream", {"args": ([SYSTEM, {"role": "user", "content": "so?"}],)})},
    "explain": PLACE,
    "facts list": FOLDER
    | WHERE
    | {"--limit": ("7", "facts", {"limit": 7}), "--state": ("active", "facts", {"state": "active"})},
    "facts show": FOLDER,
    "facts add": PLACE
    | SIGNED
    | {
        "--question": ("other?", "learn", {"question": "other?"}),
        "--answer": ("other", "learn", {"answer": "other"}),
        "--id": ("f7", "learn", {"id": "f7"}),
        "--source": ("book", "learn", {"source": "book"}),
        "--group": ("sky", "learn", {"group": "sky"}),
        "--phrasing": ("so?", "learn", {"phrasings": ["so?"]}),
        "--valid-from": ("2026-01-01", "learn", {"valid_from": "2026-01-01"}),
        "--valid-until": ("2026-02-01", "learn", {"valid_until": "2026-02-01"}),
    },
    "facts update": PLACE | SIGNED | {"--answer": ("other", "update", {"answer": "other"})},
    "facts forget": PLACE | SIGNED | {"--where": ("group=sky", "forget", {"where": {"group": "sky"}})},
    "facts phrase": PLACE | SIGNED | {"--not": ("", "phrase", {"never": True})},
    "facts export": FOLDER | WHERE,
    "facts archive": SIGNED_HISTORY,
    "facts restore": SIGNED_HISTORY,
    "certify": PLACE
    | {
        "--prompt": ("up?", "certify", {"prompt": "up?"}),
        "--max-new-tokens": ("9", "certify", {"max_new_tokens": 9}),
    },
    "purge": PLACE | SIGNED,
    "export": {
        "--memory": ("elsewhere", "export", {"args": (Path("elsewhere"), Path("a.memory"))}),
        "--at": ("v2", "export", {"args": (AT, Path("a.memory"))}),
        "--peft": ("there", "export_adapter", {"args": ("a.memory", Path("there"))}),
    },
    "import": {
        "--memory": ("elsewhere", "import_memory", {"args": (Path("a.memory"), Path("elsewhere"), TransferConfig())}),
        "--max-bytes": (
            "9",
            "import_memory",
            {"args": (Path("a.memory"), Path("memory"), TransferConfig(max_bytes=9))},
        ),
    },
    "push": {
        "--memory": ("elsewhere", "push", {"args": (Path("elsewhere"), "there")}),
        "--at": ("v2", "push", {"args": (AT, "there")}),
    },
    "pull": {"--memory": ("elsewhere", "pull", {"args": ("there", Path("elsewhere"))})},
    "rebase": FOLDER
    | {
        "--model": ("third", "load", {"model": "third"}),
        "--out": ("newer", "load", {"memory": Path("newer")}),
        "--set": PLACE["--set"],
        "--author": SIGNED["--author"],
    },
    "consolidate": PLACE
    | SIGNED
    | {
        "--group": ("prices", "consolidate", {"where": {"group": "prices"}}),
        "--budget": ("5", "consolidate", {"budget": 5.0}),
        "--kind": ("kv", "consolidate", {"kind": "kv"}),
        "--every": ("0.001", "consolidate", {"but": []}),
    },
    "regroup": PLACE | SIGNED,
    "migrate": {"--memory": ("elsewhere", "migrate", {"memory": Path("elsewhere")})},
    "inbox list": FOLDER,
    "inbox show": FOLDER,
    "inbox drop": FOLDER,
    "inbox clear": FOLDER,
    "inbox teach": PLACE
    | {
        "--answer": ("other", "teach", {"answer": "other"}),
        "--question": ("How so?", "teach", {"question": "How so?"}),
    },
    "router report": PLACE,
    "router calibrate": PLACE,
    "skill learn": PLACE
    | SIGNED
    | {
        "--name": ("style", "learn_skill", {"name": "style"}),
        "--about": ("tables", "learn_skill", {"about": "tables"}),
        "--answer-field": ("sql", "learn_skill", {"answer_field": "sql"}),
        "--on-conflict": ("keep-last", "learn_skill", {"on_conflict": "keep-last"}),
        "--replace": ("", "learn_skill", {"replace": True}),
        "--keep-worse": ("", "learn_skill", {"keep_worse": True}),
    },
    "skill list": FOLDER,
    "skill show": FOLDER,
    "skill forget": SIGNED_HISTORY | {"--purge": ("", "purge_skill", {"args": ("sql",)})},
    "skill eval": PLACE
    | {
        "--data": ("own.jsonl", "judge_skill", {"data": "own.jsonl"}),
        "--answer-field": ("sql", "judge_skill", {"answer_field": "sql"}),
        "--max-n": ("9", "judge_skill", {"max_n": 9}),
        "--seed": ("7", "judge_skill", {"seed": 7}),
        "--threads": ("1", "use_threads", {"args": (1,)}),
    },
    "data check": {
        "--known": ("", "load", {"model": "bundled"}),
        "--sample": ("9", "check_data", {"sample": 9}),
        "--against": ("gold.jsonl", "contained", {"args": ("facts.jsonl", Path("gold.jsonl"))}),
        "--seed": ("7", "check_data", {"seed": 7}),
    },
    "eval": PLACE
    | _measuring("evaluate")
    | CARD
    | {
        "--ladder": ("base,memory", "evaluate", {"ladder": ["base", "memory"]}),
        "--data": ("own.jsonl", "evaluate", {"data": Path("own.jsonl")}),
        "--text": ("a.txt", "evaluate", {"texts": [Path("a.txt")]}),
        "--choices": ("c.jsonl", "evaluate", {"choices": [Path("c.jsonl")]}),
        "--unrelated": ("3", "evaluate", {"unrelated": 3}),
        "--max-n": ("5", "evaluate", {"max_n": 5}),
        "--no-note": ("", "note", {}),
    },
    "compare": _measuring("race")
    | CARD
    | {
        "--with": ("kv,rag", "race", {"args": ("facts.jsonl", ["kv", "rag"])}),
        "--data": ("own.jsonl", "race", {"data": Path("own.jsonl")}),
        "--text": ("a.txt", "race", {"texts": [Path("a.txt")]}),
        "--budget": ("9", "race", {"budget_seconds": 9.0}),
        "--equal-bytes": ("", "race", {"equal_bytes": True}),
        "--max-n": ("5", "race", {"max_n": 5}),
    },
    "recipe": _measuring("recipe")
    | CARD
    | {"--memory": ("elsewhere", "load", {"memory": Path("elsewhere")}), "--max-n": ("5", "recipe", {"max_n": 5})},
    "sweep": {name: reached for name, reached in _measuring("sweep").items() if name != "--set"}
    | {
        "--set": ("batch=4,8", "sweep", {"args": ("facts.jsonl", {"r_value": ["8"], "batch": ["4", "8"]})}),
        "--method": ("imprint", "sweep", {"method": "imprint"}),
        "--max-steps": ("9", "sweep", {"max_steps": 9}),
        "--max-n": ("5", "sweep", {"max_n": 5}),
    },
    "lab use": _measuring("use")
    | {
        "--kinds": ("kv", "use", {"kinds": ["kv"]}),
        "--n": ("12", "use", {"n": 12}),
        "--forms": ("note", "use", {"forms": ["note"]}),
    },
    "lab passages": _measuring("passages")
    | {
        "--kind": ("distil", "passages", {"kind": "distil"}),
        "--n": ("12", "passages", {"n": 12}),
        "--sentences": ("1,18", "passages", {"sentences": [1, 18]}),
    },
    "lab retention": _measuring("retention")
    | {
        "--steps": ("2", "retention", {"steps": 2}),
        "--budget": ("9", "retention", {"budget_seconds": 9.0}),
        "--no-peers": ("", "retention", {"peers": False}),
    },
    "lab capacity": _measuring("capacity")
    | {"--people": ("5", "capacity", {"people": 5}), "--kinds": ("kv", "capacity", {"kinds": ["kv"]})},
    "log": FOLDER | {"--limit": ("7", "log", {"limit": 7}), "--audit": ("", "audit", {"args": ()})},
    "show": FOLDER,
    "diff": FOLDER,
    "rollback": SIGNED_HISTORY,
    "branch": SIGNED_HISTORY | {"--delete": ("", "delete", {"args": ("x",)})},
    "tag": SIGNED_HISTORY | {"--delete": ("", "delete", {"args": ("x",)})},
    "merge": SIGNED_HISTORY | {"--on-conflict": ("ours", "merge", {"on_conflict": "ours"})},
    "admit": SIGNED_HISTORY
    | {
        "--recall": ("0.9", "admit", {"recall": 0.9}),
        "--near-miss": ("0.1", "admit", {"near_miss": 0.1}),
        "--ability": ("0.9", "admit", {"ability": 0.9}),
    },
    "promote": SIGNED_HISTORY,
    "note": SIGNED_HISTORY,
    "stats": FOLDER,
    "gc": SIGNED_HISTORY | {"--dry-run": ("", "gc", {"dry_run": True})},
    "repair": {"--memory": ("elsewhere", "repair", {"memory": Path("elsewhere")})},
    "serve": {
        "--data": ("there", "serve", {"args": (Path("there"), Config())}),
        "--memory": ("acme=a/b", "serve", {"memories": {"acme": Path("a/b")}}),
        "--model": ("other", "serve", {"model": "other"}),
        "--model-alias": ("small=other", "serve", {"aliases": {"small": "other"}}),
        "--host": ("::1", "serve", {"host": "::1"}),
        "--port": ("81", "serve", {"port": 81}),
        "--set": (
            "serve.rows=3",
            "serve",
            {"args": (Path("memtune-data"), Config().with_settings(["serve.rows=3"]))},
        ),
    },
    "keys add": DATA
    | {
        "--scope": ("teach", "add_key", {"args": ("shop", ["teach"])}),
        "--memory": ("acme", "add_key", {"memories": ["acme"]}),
        "--hide-group": ("wages", "add_key", {"hidden": ["wages"]}),
        "--per-minute": ("9", "add_key", {"per_minute": 9}),
    },
    "keys list": DATA,
    "keys revoke": DATA,
    "verify": FOLDER,
    "doctor": {"--memory": FOLDER["--memory"]},
}
CHECKED_ELSEWHERE = {
    "export --model": "test_cli_commands.test_the_model_that_an_adapter_is_for",
    "--json": "test_cli_commands.test_json_is_all_that_standard_output_holds",
    "--debug": "test_cli_faults.test_a_traceback_only_with_debug",
    "skill show --examples": "test_cli_skill.test_examples_can_be_had_again",
    "skill learn --others": "test_cli_skill.test_texts_that_must_not_open_it",
    "inbox list --limit": "test_cli_commands.test_the_inbox_speaks",
    "ask --file": "test_cli_commands.test_questions_from_a_file",
    "facts export --out": "test_cli_commands.test_export_to_a_file",
    "eval --replace": "test_cli_evaluate.test_a_card_is_not_written_over_unasked",
    "compare --replace": "test_cli_evaluate.test_a_card_is_not_written_over_unasked",
    "recipe --replace": "test_cli_evaluate.test_a_card_is_not_written_over_unasked",
    "data check --model": "test_cli_evaluate.test_the_model_that_is_asked_for_what_it_knows",
    "sweep --out": "test_cli_evaluate.test_the_settings_of_the_best_run_are_written",
    "router report --out": "test_cli_router.test_the_picture",
    "router calibrate --out": "test_cli_router.test_the_picture",
}


def test_no_option_is_left_out_of_the_tables() -> None:
    checked = {(command, name.replace("--no-", "--")) for command, options in REACHES.items() for name in options}
    left_out = [
        f"{option.command} {option.name}"
        for option in OPTIONS
        if (option.command, option.name.replace("--no-", "--")) not in checked
        and option.name not in CHECKED_ELSEWHERE
        and f"{option.command} {option.name}" not in CHECKED_ELSEWHERE
    ]
    assert left_out == []


@pytest.mark.parametrize(("command", "name"), [(c, n) for c, options in REACHES.items() for n in options])
def test_an_option_reaches_the_library(command: str, name: str, memtune, library) -> None:
    value, verb, expected = REACHES[command][name]
    bare = [*command.split(), *BARE[command].split()]
    without = _observed(memtune, library, bare, verb)
    with_option = _observed(memtune, library, [*bare, name, *([value] if value else [])], verb)
    assert with_option | expected == with_option
    assert without != with_option


def _observed(memtune, library, args: list[str], verb: str) -> dict[str, Any]:
    """What reached the library's verb, flat; empty if it was not called."""
    library.calls.clear()
    result = memtune(*args, input="so?\n")
    assert result.exit_code == 0, result.output
    calls = [call for call in library.calls if call.verb == verb]
    if not calls:
        return {}
    seen = {**calls[-1].options, "args": calls[-1].args}
    if verb == "learn" and isinstance(calls[-1].args[0], list):
        seen |= calls[-1].args[0][0]
    return seen
