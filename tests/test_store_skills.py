"""Skills in the folder: part of every version that holds them, and of none that forgot them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from memtune import transfer
from memtune.core.facts import Fact
from memtune.errors import FolderDamaged, FolderTooNew, NotFound
from memtune.history import History
from memtune.store import MemoryFolder, manifest
from memtune.store.durable import FORMAT, WITH_SKILLS, unseal
from memtune.store.manifest import Commit, Segments
from memtune.store.merge import MergeConflict
from memtune.store.repair import rebuild_catalogue
from memtune.store.skills import ABOUT, GATE, Skill, decode_text, encode_text, is_name

BACKBONE = {"name": "tiny", "config": "c", "tokenizer": "t", "weights": "w"}


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    MemoryFolder.create(tmp_path / "memory", backbone=BACKBONE, settings={"encoder": "lexical"}).close()
    with History.open(tmp_path / "memory", "ada") as opened:
        yield opened


def rooms(value: float) -> dict[str, dict[str, torch.Tensor]]:
    return {
        ABOUT: encode_text({"value": value, "for": "größer"}),
        GATE: {"weights": torch.full((4,), value)},
        "lora": {"0.a": torch.full((2, 4), value)},
    }


def learn_skill(history: History, name: str, value: float = 1.0) -> int:
    with history.folder.writer() as writer:
        writer.hold_skill(name, rooms(value))
        return writer.commit(f"learn the skill '{name}'", act="learn skill")


def learn_fact(history: History, id_: str) -> int:
    with history.folder.writer() as writer:
        writer.add_segment([Fact(id_, f"What is {id_}?", f"It is {id_}.")], {"imprint": {"rows": torch.ones(1, 2)}})
        return writer.commit("learn 1 facts")


def held(folder: MemoryFolder) -> dict[str, float]:
    """Each skill of the version, with the value in its tensors."""
    return {n: float(folder.skill_shard(s, "lora")["0.a"][0, 0]) for n, s in folder.manifest.skills.items()}


def again(history: History, at: str = "") -> dict[str, float]:
    with MemoryFolder.open(f"{history.folder.path}{at}") as folder:
        return held(folder)


def test_a_version_holds_skills_beside_its_facts(history: History) -> None:
    learn_fact(history, "a")
    assert learn_skill(history, "sql") == 2
    learn_fact(history, "b")
    assert learn_skill(history, "sql", 2.0) == 4
    assert history.forget_skill("sql") == 5
    assert [again(history, f"@v{n}") for n in range(1, 6)] == [{}, {"sql": 1.0}, {"sql": 1.0}, {"sql": 2.0}, {}]
    assert history.folder.count() == 2
    assert [fact.id for fact in history.folder.facts()] == ["a", "b"]
    assert history.verify() == []
    told = decode_text(MemoryFolder.open(f"{history.folder.path}@v2").skill_shard(_skill(history, "@v2"), ABOUT))
    assert told == {"value": 1.0, "for": "größer"}
    with pytest.raises(NotFound, match="no skill 'sql'"):
        history.forget_skill("sql")


def _style(history: History) -> Skill:
    return history.folder.manifest.skills["style"]


def _skill(history: History, at: str) -> Skill:
    with MemoryFolder.open(f"{history.folder.path}{at}") as folder:
        return folder.manifest.skills["sql"]


def test_log_diff_and_stats_name_them(history: History) -> None:
    learn_fact(history, "a")
    learn_skill(history, "sql")
    learn_skill(history, "style")
    learn_skill(history, "sql", 2.0)
    newest = next(history.log())
    assert newest.lines()[1:] == ["    learn the skill 'sql'", "    no fact changed; 1 facts; from v3"]
    change = history.diff(2, 4)
    assert (change.lines(), bool(change)) == (["+ skill style", "~ skill sql"], True)
    assert change.to_json()["skills"] == {"added": ["style"], "changed": ["sql"], "removed": []}
    assert "skills" not in history.diff(0, 1).to_json()
    assert history.diff(4, 1).lines() == ["- skill sql", "- skill style"]
    stats = history.stats()
    assert set(stats.skills) == {"sql", "style"}
    assert stats.bytes["skills"] == sum(stats.skills.values())


def test_rollback_brings_them_back_and_takes_them_away(history: History) -> None:
    learn_fact(history, "a")
    learn_skill(history, "sql")
    assert history.rollback(1) == 3
    assert held(history.folder) == {}
    assert history.rollback(2) == 4
    assert held(history.folder) == {"sql": 1.0}
    assert history.rollback(2) == 4  # nothing differs


@pytest.mark.parametrize("chain", [0, 2, 256])
def test_every_manifest_of_a_chain_knows_them(history: History, monkeypatch: pytest.MonkeyPatch, chain: int) -> None:
    monkeypatch.setattr(manifest, "CHAIN", chain)
    learn_skill(history, "sql")
    for number in range(4):
        learn_fact(history, f"f{number}")
    learn_skill(history, "style", 3.0)
    for number in range(4, 8):
        learn_fact(history, f"f{number}")
    history.forget_skill("sql")
    assert [len(again(history, f"@v{n}")) for n in range(1, 12)] == [1] * 5 + [2] * 5 + [1]


def test_a_program_that_knows_no_skills_is_kept_from_writing_behind_them(history: History) -> None:
    learn_fact(history, "a")
    learn_skill(history, "sql")
    files = [history.folder.manifests.file(point) for point in history.folder.manifests.all_points()]
    assert unseal(files[0], files[0].read_bytes(), newest=FORMAT)["format"] == FORMAT
    with pytest.raises(FolderTooNew, match=f"format {WITH_SKILLS}, not {FORMAT}"):
        unseal(files[1], files[1].read_bytes(), newest=FORMAT)


def test_what_nothing_leads_to_goes_and_what_is_held_stays(history: History) -> None:
    learn_fact(history, "a")
    history.branch("trial")
    history.folder.switch("trial")
    learn_skill(history, "sql")
    history.folder.switch("main")
    assert history.gc().shards == 0
    history.delete("trial")
    assert history.gc().shards == 3
    learn_skill(history, "style", 2.0)
    rebuild_catalogue(history.folder)
    with history.folder.writer() as writer:
        writer.sweep_later()
    learn_fact(history, "b")  # the writer that sweeps up
    assert (held(history.folder), history.verify()) == ({"style": 2.0}, [])


def test_a_purge_leaves_no_byte_of_a_skill(history: History) -> None:
    learn_fact(history, "a")
    learn_skill(history, "sql")
    learn_skill(history, "style", 2.0)
    learn_fact(history, "b")
    history.forget_skill("sql")
    assert history.purge_skill("sql") == 3
    assert [again(history, f"@v{n}") for n in range(1, 6)] == [{}, {}, {"style": 2.0}, {"style": 2.0}, {"style": 2.0}]
    left = {file.stem for file in history.folder.shards.path.iterdir()}
    assert left == {d for held in (*history.folder.segments, _style(history)) for d in held.shards.values()}
    assert history.verify() == []
    assert (history.folder.version, history.folder.count()) == (5, 2)
    with pytest.raises(NotFound, match="no version holds a skill 'sql'"):
        history.purge_skill("sql")


def test_branches_with_different_skills_keep_both(history: History) -> None:
    learn_skill(history, "old")
    history.branch("other")
    learn_skill(history, "sql")
    history.folder.switch("other")
    learn_skill(history, "style", 2.0)
    history.forget_skill("old")
    history.folder.switch("main")
    done = history.merge("other")
    assert held(history.folder) == {"sql": 1.0, "style": 2.0}
    assert done.to_json()["skills"] == {"added": ["style"], "changed": [], "removed": ["old"]}
    assert history.merge("other").version == done.version
    assert history.verify() == []


@pytest.mark.parametrize(("how", "left"), [("ours", {"sql": 1.0}), ("theirs", {"sql": 2.0})])
def test_one_name_for_two_skills_is_a_conflict(history: History, tmp_path: Path, how: str, left: dict) -> None:
    MemoryFolder.create(tmp_path / "elsewhere", backbone=BACKBONE, settings={"encoder": "lexical"}).close()
    with History.open(tmp_path / "elsewhere") as other:
        learn_skill(other, "sql", 2.0)
        learn_skill(other, "more", 5.0)
    learn_skill(history, "sql")
    with pytest.raises(MergeConflict, match="1 skill conflicts: skill sql: ours another one, theirs another one"):
        history.merge(tmp_path / "elsewhere")
    assert held(history.folder) == {"sql": 1.0}
    done = history.merge(tmp_path / "elsewhere", on_conflict=how)
    assert held(history.folder) == {**left, "more": 5.0}
    assert [conflict.to_json()["skill"] for conflict in done.conflicts] == ["sql"]
    assert history.verify() == []


def test_the_same_skill_learned_on_both_sides_is_no_conflict(history: History, tmp_path: Path) -> None:
    """What is told of it differs, if only by the seconds that training took."""
    MemoryFolder.create(tmp_path / "elsewhere", backbone=BACKBONE, settings={"encoder": "lexical"}).close()
    with History.open(tmp_path / "elsewhere") as other, other.folder.writer() as writer:
        writer.hold_skill("sql", rooms(1.0) | {ABOUT: encode_text({"seconds": 3})})
        writer.commit("learn the skill 'sql'", act="learn skill")
    learn_skill(history, "sql")
    ours = history.folder.manifest.skills["sql"]
    assert (history.merge(tmp_path / "elsewhere").conflicts, history.folder.manifest.skills["sql"]) == ([], ours)


def test_forgotten_here_and_changed_there_is_a_conflict(history: History) -> None:
    learn_skill(history, "sql")
    history.branch("other")
    history.forget_skill("sql")
    history.folder.switch("other")
    learn_skill(history, "sql", 2.0)
    history.folder.switch("main")
    with pytest.raises(MergeConflict, match="ours forgotten, theirs another one"):
        history.merge("other")
    history.merge("other", on_conflict="theirs")
    assert held(history.folder) == {"sql": 2.0}


def test_they_travel(history: History, tmp_path: Path) -> None:
    learn_fact(history, "a")
    learn_skill(history, "sql")
    transfer.export(history.folder, tmp_path / "one.memory")
    transfer.import_memory(tmp_path / "one.memory", tmp_path / "imported")
    transfer.push(history.folder, str(tmp_path / "copy"))
    learn_skill(history, "sql", 2.0)
    transfer.push(history.folder, str(tmp_path / "copy"))
    for name, value in (("imported", 1.0), ("copy", 2.0)):
        with MemoryFolder.open(tmp_path / name) as folder:
            assert (held(folder), folder.verify()) == ({"sql": value}, [])


def test_a_damaged_shard_of_a_skill_is_named(history: History) -> None:
    learn_skill(history, "sql")
    file = history.folder.shards.file(history.folder.manifest.skills["sql"].shards["lora"])
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    assert any(file.name in problem for problem in history.verify())
    with MemoryFolder.open(history.folder.path) as folder, pytest.raises(FolderDamaged, match="checksum"):
        held(folder)


def test_a_writer_that_fails_leaves_nothing(history: History) -> None:
    learn_fact(history, "a")
    before = sorted(history.folder.shards.path.iterdir())

    def fail() -> None:
        with history.folder.writer() as writer:
            writer.hold_skill("sql", rooms(1.0))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert (sorted(history.folder.shards.path.iterdir()), held(history.folder)) == (before, {})
    assert again(history) == {}


@pytest.mark.parametrize(
    "told",
    [{"name": "../x"}, {"name": ""}, {"shards": {ABOUT: "a"}}, {"shards": {ABOUT: "a", GATE: "b"}}, {"shards": None}],
)
def test_a_manifest_that_names_no_skill_properly_is_damaged(told: dict) -> None:
    good = {"name": "sql", "shards": {ABOUT: "a", GATE: "b", "lora": "c"}}
    document = {"segments": [], "removed": [], "skills": {"held": [good | told], "removed": []}}
    with pytest.raises(FolderDamaged):
        manifest.apply(Path("m"), document, Segments(), {})


def test_manifests_without_skills_are_as_they_were(history: History) -> None:
    sealed, _ = manifest.encode(Commit(1), Segments(), {}, manifest.Manifest())
    assert b"skills" not in sealed


@pytest.mark.parametrize("name", ["sql", "a.b-c_1", "größe", "7"])
def test_names(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize("name", ["", " ", "a b", "-x", "../a", "a/b", "a\n", "x" * 65, 7])
def test_what_is_no_name(name: object) -> None:
    assert not is_name(name)
