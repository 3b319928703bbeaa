"""Kind distil: which rows are kept, how they are packed, and that several kinds stand in one batch."""

from __future__ import annotations

from typing import Any

import pytest
import tiny
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st

from memtune.config import Config, DecodeConfig, LearnConfig
from memtune.core import asking, packing
from memtune.core.backbone import Backbone
from memtune.core.experts import Expert, pick
from memtune.core.facts import Fact
from memtune.core.generate import Decoder, Request
from memtune.core.kinds import make_kinds
from memtune.core.kinds.distil import _kept
from memtune.core.kinds.distil import _worth as worth
from memtune.core.learn import Learner
from memtune.errors import KindUnsupported
from memtune.evaluate.use import forms as evaluated
from memtune.evaluate.use import world
from memtune.model import MemoryModel

WITHOUT_KV = {"falcon", "stablelm", "mamba2"}
EXPERTS_PER_BATCH = {"mixtral", "qwen3-moe"}
"""Their blocks group the tokens of a batch by expert, so other rows decide the shape of a product."""
LOOSE = ("distil.least_gain=0", "distil.tolerance=1000")


def backbone(family: str = "llama") -> Backbone:
    return Backbone(tiny.model(family), tiny.tokenizer())


def some(count: int) -> list[Fact]:
    return [Fact.from_row(row) for row in tiny.facts(count)]


def written(on: Backbone, facts: list[Fact], kind: str = "distil", *settings: str) -> list[dict[str, torch.Tensor]]:
    """What a kind makes of facts, whether it may be kept or not."""
    (made,) = make_kinds(kind, Config().with_settings([*LOOSE, *settings]))
    made.prove = lambda batch, tensors: {}  # type: ignore[method-assign]
    lot = Learner(on, [made], LearnConfig()).learn(facts)
    assert not lot.failed
    by_id = {fact.id: pick(lot.rooms[kind], row) for row, fact in enumerate(lot.facts)}
    return [by_id[fact.id] for fact in facts]


def logits(on: Backbone, experts: list[dict[str, list[Expert]]], *settings: str) -> list[torch.Tensor]:
    """Of three steps after one question, for each of these choices of experts side by side."""
    kinds = make_kinds("imprint+kv+distil", Config().with_settings(["kv.dtype=backbone", *settings]))
    requests = [Request(on.template.question("What is known of item 1000?"), chosen) for chosen in experts]
    replies = Decoder(on, kinds, requests, DecodeConfig(max_new_tokens=3), keep_logits=True).finish()
    return [torch.stack(reply.logits) for reply in replies]


# ---- packing --------------------------------------------------------------------------------------------------------


@given(st.integers(1, 9), st.integers(1, 40), st.floats(1e-3, 1e3))
def test_four_bits_are_near(count: int, width: int, size: float) -> None:
    vectors = size * torch.randn(count, width, generator=torch.Generator().manual_seed(count))
    codes, scales = packing.pack(vectors)
    assert codes.numel() == count * ((width + 1) // 2)
    back = packing.unpack(codes, scales, width)
    worst = vectors.abs().amax(-1, keepdim=True)
    assert ((back - vectors).abs() <= worst / 14 * 1.1).all()


def test_nothing_is_packed_as_nothing() -> None:
    assert not packing.unpack(*packing.pack(torch.zeros(2, 6)), 6).any()


# ---- what is kept ---------------------------------------------------------------------------------------------------


def test_the_worthiest_entries_are_kept_in_the_order_of_their_places() -> None:
    rows = torch.randn(5, 2, 2, 3, 4)  # N L 2 K d
    worth = torch.zeros(2, 3, 5)
    worth[1, 2, 4], worth[0, 1, 3], worth[1, 0, 0] = 3.0, 2.0, 1.0
    kept = _kept(rows, worth, share=2 / 30)
    assert kept["places"].tolist() == [0 * 3 + 1, 1 * 3 + 2]
    back = packing.unpack(kept["codes"], kept["scales"], 4)
    wanted = torch.stack([rows[3, 0, :, 1], rows[4, 1, :, 2]])
    torch.testing.assert_close(back, wanted, atol=float(wanted.abs().max()) / 13, rtol=0)


@pytest.mark.parametrize("family", [f for f in tiny.FAMILIES if f not in WITHOUT_KV])
def test_all_rows_in_few_bits_are_kvs_rows_in_few_bits(family: str) -> None:
    on, facts = backbone(family), some(3)
    whole = written(on, facts, "kv", "kv.dtype=backbone")
    mine = written(on, facts, "distil", "distil.share=1")
    rounded = [{"rows": packing.unpack(*packing.pack(t["rows"]), t["rows"].shape[-1])} for t in whole]
    experts = [Expert(f.id, f.answer, t) for f, t in zip(facts, mine, strict=True)]
    as_kv = [Expert(f.id, f.answer, t) for f, t in zip(facts, rounded, strict=True)]
    got = logits(on, [{"distil": experts[:1]}, {"distil": experts[1:]}, {}])
    wanted = logits(on, [{"kv": as_kv[:1]}, {"kv": as_kv[1:]}, {}])
    torch.testing.assert_close(got, wanted, rtol=2e-3, atol=2e-3)
    plain = logits(on, [{}, {}, {}])
    assert (got[0] - plain[0]).abs().max() > 1e-3
    if family not in EXPERTS_PER_BATCH:
        assert torch.equal(got[2], plain[2]), "no fact, no difference: bit for bit"


@pytest.mark.parametrize("family", sorted(WITHOUT_KV))
def test_distil_says_where_it_cannot_live(family: str) -> None:
    with pytest.raises(KindUnsupported, match="cannot live on"):
        Learner(backbone(family), make_kinds("distil", Config()), LearnConfig())


def test_keys_and_values_of_two_sizes_are_no_rows() -> None:
    sizes = {"kv_lora_rank": 16, "q_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 16, "v_head_dim": 16}
    small = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "first_k_dense_replace": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 4, "vocab_size": 512}
    model = transformers.DeepseekV3ForCausalLM(transformers.DeepseekV3Config(**small, **heads, **sizes)).eval()
    with pytest.raises(KindUnsupported, match="not all of one size"):
        Learner(Backbone(model, tiny.tokenizer()), make_kinds("distil", Config()), LearnConfig())


def test_less_is_kept_where_less_is_asked_for_and_more_where_it_is_too_far_from_the_teacher() -> None:
    on, facts = backbone(), some(4)
    sizes = {}
    for settings in ("distil.share=0.1", "distil.share=0.3", "distil.tolerance=0"):
        sizes[settings] = [len(t["places"]) for t in written(on, facts, "distil", settings)]
    assert all(a < b for a, b in zip(sizes["distil.share=0.1"], sizes["distil.share=0.3"], strict=True))
    rows = [len(t["rows"]) for t in written(on, facts, "kv")]
    entries = [row * len(on.blocks) * on.attention.heads[0] for row in rows]
    assert sizes["distil.tolerance=0"] == entries, "what is never near enough is kept whole"


def test_the_divergence_from_the_teacher_falls_with_what_is_kept() -> None:
    on, facts = backbone(), some(4)
    apart = [torch.stack([t["figures"][0, 0] for t in written(on, facts, "distil", f"distil.share={share}")]).mean()
             for share in (0.05, 0.3, 1)]  # fmt: skip
    assert min(apart[:2]) > 2 * apart[2]


def test_what_is_kept_does_not_depend_on_what_is_read_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    on, facts = backbone(), some(4)
    found = []
    for at_once in (1, 64):
        monkeypatch.setattr("memtune.core.trials._AT_ONCE", at_once)
        found.append([t["places"].tolist() for t in written(on, facts, "distil", "distil.share=0.3")])
    assert found[0] == found[1]


def test_padding_adds_nothing_to_the_worth_of_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[list[torch.Tensor]] = []
    monkeypatch.setattr("memtune.core.kinds.distil._worth", lambda w, rows: found[-1].append(w) or worth(w, rows))
    for at_once in (1, 64):
        found.append([])
        monkeypatch.setattr("memtune.core.trials._AT_ONCE", at_once)
        written(backbone(), some(2))
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-4)


def test_a_question_that_barely_fits_into_the_context_is_learned_beside_others() -> None:
    on = Backbone(tiny.model(max_position_embeddings=128), tiny.tokenizer())
    long = "What " + "a " * 200
    while len(on.template.question(f"{long}?").ids) > 110:
        long = long[:-2]
    facts = [Fact("long", f"{long}?", "40 dollars"), *some(2)]
    assert len(written(on, facts)) == 3


@pytest.mark.parametrize("setting", ["distil.reply_tokens=3", "distil.own_forms=false"])
def test_each_setting_changes_what_is_looked_at(setting: str) -> None:
    on, facts = backbone(), some(4)
    plain, other = written(on, facts, "distil"), written(on, facts, "distil", setting)
    assert any(a["figures"][0, 0] != b["figures"][0, 0] for a, b in zip(plain, other, strict=True))


def test_a_model_that_does_not_use_its_context_has_nothing_to_teach() -> None:
    on, facts = backbone(), some(3)
    lot = Learner(on, make_kinds("distil", Config().with_settings(["distil.tolerance=1000"])), LearnConfig()).learn(
        facts
    )
    assert not lot.facts
    assert {failed.reason for failed in lot.failed} == {"the model does not use the fact when it stands in its context"}


def test_what_few_bits_cannot_say_is_not_kept() -> None:
    on, facts = backbone(), some(2)
    settings = ["distil.least_gain=0", "distil.tolerance=0"]
    lot = Learner(on, make_kinds("distil", Config().with_settings(settings)), LearnConfig()).learn(facts)
    assert {failed.id for failed in lot.failed} == {fact.id for fact in facts}


# ---- several kinds in one batch --------------------------------------------------------------------------------------


def test_kinds_stand_side_by_side_and_leave_other_rows_alone() -> None:
    on, facts = backbone(), some(3)
    kv = [Expert(f.id, f.answer, t) for f, t in zip(facts, written(on, facts, "kv", "kv.dtype=backbone"), strict=True)]
    mine = [Expert(f.id, f.answer, t) for f, t in zip(facts, written(on, facts), strict=True)]
    choices: list[dict[str, list[Expert]]] = [
        {}, {"kv": kv[:1]}, {"distil": mine[1:2]}, {"kv": kv[:1], "distil": mine[1:2]}
    ]  # fmt: skip
    together = logits(on, choices)
    plain = logits(on, [{}] * len(choices))
    assert torch.equal(together[0], plain[0]), "no fact, no difference: bit for bit"
    for got, chosen in zip(together, choices, strict=True):
        torch.testing.assert_close(got, logits(on, [chosen])[0], rtol=1e-3, atol=1e-3)
    assert not torch.allclose(together[3], together[1], atol=1e-3)
    assert not torch.allclose(together[3], together[2], atol=1e-3)
    as_distil = logits(on, [{"distil": [Expert("x", "", _as_entries(on, kv[0], settings=())), mine[1]]}])[0]
    torch.testing.assert_close(as_distil, together[3], rtol=0.5, atol=0.2)


def _as_entries(on: Backbone, expert: Expert, settings: Any) -> dict[str, torch.Tensor]:
    """A kv expert as a distilled one of all its rows."""
    rows = expert.tensors["rows"]
    return _kept(rows, torch.ones(rows.shape[1], rows.shape[3], rows.shape[0]), share=1.0)


# ---- forms ----------------------------------------------------------------------------------------------------------


def test_no_form_of_an_evaluation_is_learned_from() -> None:
    asked = [evaluated.BY_LETTER, evaluated.COMPLETE, evaluated.AS_JSON, evaluated.NOTE, evaluated.LINES]
    for kind in world.KINDS:
        asked += [kind.compare, kind.reverse, kind.two_hop]
        asked += [text for r in kind.relations for text in (r.learned, r.asked, r.doubt, r.gap)]
    own = {_bare(form) for form in (*asking.FORMS, asking.REWORD)} - {""}
    assert not own & {_bare(text) for text in asked}
    assert len(own) >= 8


def _bare(form: str) -> str:
    """Without what is filled in."""
    bare = form
    for name in ("question", "answer", "wrong", "other", "s", "v", "options", "gap", "key", "a", "b", "c", "questions"):
        bare = bare.replace("{" + name + "}", "")
    return " ".join(bare.casefold().replace("“", "").replace("”", "").strip(" ?.:").split())


# ---- as a user -------------------------------------------------------------------------------------------------------


def test_distilled_facts_are_used_and_the_rest_is_the_plain_model(tmp_path: Any) -> None:
    with MemoryModel("bundled", tmp_path / "memory") as llm:
        facts = world.make(6, 3).facts[:8]
        llm.learn([fact.to_row() for fact in facts], kind="distil")
        said = llm.ask([fact.question for fact in facts])
        used = [[(use.id, use.kind) for use in answer.facts] for answer in said]
        assert used == [[(fact.id, "distil")] for fact in facts]
        assert sum(a.text == f.answer for a, f in zip(said, facts, strict=True)) >= 4
        other = "Who wrote Hamlet?"
        with_memory, without = (
            llm.answering(on).reply(other, DecodeConfig(), memory=on, raw=False) for on in (True, False)
        )
        assert torch.equal(torch.stack(with_memory[0].logits), torch.stack(without[0].logits))
        assert not llm.verify()
