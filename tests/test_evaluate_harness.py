"""The wrapper for lm-evaluation-harness: what it gives back, with and without the harness installed."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tiny
import torch

from memtune import MemoryModel
from memtune.core.backbone import Backbone
from memtune.core.facts import Fact
from memtune.errors import ExtraMissing, InputError, UsageError
from memtune.evaluate import harness

FACTS = [Fact.from_row(row) for row in tiny.facts(6)]


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return Backbone(tiny.model(max_position_embeddings=128), tiny.tokenizer(), name="tiny")


@pytest.fixture(scope="module")
def folder(backbone: Backbone, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("harness") / "memory"
    with MemoryModel(backbone, path) as made:
        assert made.learn(FACTS).learned == len(FACTS)
    return str(path)


def asked(*args: Any) -> SimpleNamespace:
    """A request as the harness makes it."""
    return SimpleNamespace(args=args)


def wrapper(backbone: Backbone, folder: str | None, **given: Any) -> Any:
    return (harness.Memtune or harness.Harness)(memory=folder, model=backbone, **given)


def test_likelihoods_are_the_plain_models_where_nothing_fires(backbone: Backbone, folder: str) -> None:
    requests = [asked("The lamp is on", " the hill"), asked("", "Some words"), asked("It ends in a space ", "here")]
    on, off = wrapper(backbone, folder), wrapper(backbone, folder, on=False)
    assert on.loglikelihood(requests) == off.loglikelihood(requests) == wrapper(backbone, None).loglikelihood(requests)
    assert on.fired == 0
    (total, greedy), *_ = off.loglikelihood(requests)
    ids = backbone.tokenizer("The lamp is on the hill")["input_ids"]
    read = len(backbone.tokenizer("The lamp is on")["input_ids"])
    chances = torch.log_softmax(backbone.model(torch.tensor([ids])).logits[0].double(), -1)
    assert total == pytest.approx(sum(float(chances[i - 1, ids[i]]) for i in range(read, len(ids))), rel=1e-4)
    assert isinstance(greedy, bool)


@pytest.mark.parametrize("on", [True, False])
def test_nothing_private_of_the_model_is_needed(
    backbone: Backbone, folder: str, on: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = [asked("The lamp is on", " the hill")]
    expected = wrapper(backbone, folder, on=on).loglikelihood(given)
    for name in [name for name in vars(MemoryModel) if name in ("_answering", "_plain")]:
        monkeypatch.delattr(MemoryModel, name)
    assert wrapper(backbone, folder, on=on).loglikelihood(given) == expected


def test_a_space_may_stand_on_either_side(backbone: Backbone) -> None:
    plain = wrapper(backbone, None)
    one, other = plain.loglikelihood([asked("The lamp is on ", "the hill"), asked("The lamp is on", " the hill")])
    assert one == other


def test_a_learned_answer_is_certain_and_greedy_with_the_memory_on(backbone: Backbone, folder: str) -> None:
    requests = [asked(f.question, " " + f.answer) for f in FACTS] + [asked(FACTS[0].question, " Something else")]
    on, off = wrapper(backbone, folder), wrapper(backbone, folder, on=False)
    found, plain = on.loglikelihood(requests), off.loglikelihood(requests)
    assert on.fired == len(requests)
    assert all(greedy and total > -0.1 for total, greedy in found[:-1])
    assert all(not greedy and total < -5 for total, greedy in plain[:-1])
    assert not found[-1][1]
    assert found[-1][0] < found[0][0] - 5


def test_rolling_likelihoods_count_every_token_once(backbone: Backbone, folder: str) -> None:
    on = wrapper(backbone, folder)
    assert backbone.context == 128
    short, long = "The lamp is on the hill.", "The sea is wide and the hill is high. " * 20
    one, two = on.loglikelihood_rolling([asked(short), asked(long)])
    assert one == pytest.approx(on.loglikelihood([asked("", short)])[0][0], rel=1e-4)
    assert len(backbone.tokenizer(long)["input_ids"]) > 2 * backbone.context
    whole = wrapper(Backbone(tiny.model(max_position_embeddings=4096), tiny.tokenizer()), None)
    assert two == pytest.approx(whole.loglikelihood_rolling([asked(long)])[0], rel=0.2)
    assert on.loglikelihood_rolling([asked("")]) == [0]


def test_replies_stop_where_a_task_says_and_the_memory_answers(backbone: Backbone, folder: str) -> None:
    until = {"until": ["\n\n"], "max_gen_toks": 40, "temperature": 0.0}
    requests = [asked(FACTS[0].question, until), asked(FACTS[1].question, {"until": "19", "max_gen_toks": 40})]
    on, off = wrapper(backbone, folder), wrapper(backbone, folder, on=False)
    assert on.generate_until(requests) == [FACTS[0].answer, "since"]
    assert on.fired == 2
    assert off.generate_until(requests)[0] != FACTS[0].answer
    assert off.fired == 0
    long = asked("word " * 500, {"until": [], "max_gen_toks": 4})
    assert isinstance(on.generate_until([long])[0], str)


def test_settings_of_a_task_in_memtunes_words() -> None:
    assert harness._settings({"until": ["a", ""], "do_sample": True})["temperature"] == 1.0
    assert harness._settings({"temperature": 0.0, "do_sample": False})["temperature"] == 0.0
    assert harness._settings({})["max_new_tokens"] == 256


def test_chat_templates_are_the_models_own(backbone: Backbone) -> None:
    plain = wrapper(backbone, None)
    assert plain.chat_template(True) == backbone.template.chat_template
    assert plain.chat_template(False) == ""
    assert plain.tokenizer_name == "tiny"
    chat = [{"role": "user", "content": "Hello"}]
    assert plain.apply_chat_template(chat) == "<|user|>\nHello<|end|>\n<|assistant|>\n"


def test_what_cannot_be_is_refused(backbone: Backbone) -> None:
    with pytest.raises(UsageError, match="unknown model_args: speed"):
        wrapper(backbone, None, speed="fast")
    with pytest.raises(InputError, match="the model's context 128"):
        wrapper(backbone, None).loglikelihood([asked("So", " word" * 300)])


def test_a_missing_harness_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "installed", lambda: False)
    with pytest.raises(ExtraMissing, match="lm-eval") as caught:
        harness.register()
    assert caught.value.hint == "pip install 'memtune[harness]'"


TASK = """
task: memtune_small
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}, cache_dir: {cache}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{question}}}}"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: 0
metric_list: [{{metric: acc, aggregation: mean, higher_is_better: true}}]
"""


@pytest.mark.skipif(not harness.installed(), reason="lm-eval is not installed: pip install 'memtune[harness]'")
def test_an_offline_task_of_the_harness(backbone: Backbone, folder: str, tmp_path: Path) -> None:
    import lm_eval
    from lm_eval.tasks import TaskManager

    rows = [{"question": f.question, "choices": [f.answer, "Nothing", "A lamp", "xyzzy"]} for f in FACTS]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "small.yaml").write_text(TASK.format(data=tmp_path / "rows.jsonl", cache=tmp_path / "cache"))
    found = lm_eval.simple_evaluate(
        model=wrapper(backbone, folder), tasks=["memtune_small"],
        task_manager=TaskManager(include_path=str(tmp_path), include_defaults=False), bootstrap_iters=0,
    )  # fmt: skip
    assert found["results"]["memtune_small"]["acc,none"] == 1.0
