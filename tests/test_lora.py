"""Low-rank experts: the same mathematics as anywhere, in stacks; every option does what it says."""

from __future__ import annotations

import dataclasses
import weakref
from functools import lru_cache
from pathlib import Path

import pytest
import tiny
import torch
from torch import Tensor, nn

from memtune import MemoryModel
from memtune.config import Config, DecodeConfig, LearnConfig
from memtune.core.backbone import Backbone
from memtune.core.experts import Expert
from memtune.core.facts import Fact
from memtune.core.generate import Decoder, Request
from memtune.core.gradient import passes
from memtune.core.gradient.low_rank import LowRank
from memtune.core.gradient.passes import Reader, Upper, Whole
from memtune.core.gradient.sites import find_sites
from memtune.core.gradient.trainable import Leaf
from memtune.core.gradient.training import Example, Settings, Soft, Trained, train
from memtune.core.kinds.lora import Lora
from memtune.core.learn import Learner, Lot
from memtune.errors import KindUnsupported, UsageError

ROWS = tiny.facts(6)
PLAIN = Settings(learning_rate=3e-3, max_steps=5)
EXPERTS_PER_BATCH = {"mixtral", "qwen3-moe"}
"""Their blocks group the tokens of a batch by expert, so other rows decide the shape of a product."""


@lru_cache(maxsize=1)
def sharp(family: str = "llama", blocks: int = 2) -> Backbone:
    """A random model whose unembedding is long enough for a token to become likely."""
    model = tiny.model(family, num_hidden_layers=blocks)
    with torch.no_grad():
        model.get_output_embeddings().weight.mul_(8)
    return Backbone(model, tiny.tokenizer())


def examples(backbone: Backbone, rows: list[dict[str, str]] = ROWS) -> list[Example]:
    prompts = backbone.template.questions([r["question"] for r in rows])
    answers = backbone.writer.tokens([r["answer"] for r in rows], prompts[0].tail)
    return [Example(i, p.ids, (*(a or ()), 0)) for i, (p, a) in enumerate(zip(prompts, answers, strict=True))]


def experts(backbone: Backbone, number: int, *, blocks: int = 2, everywhere: bool = False, **given: float) -> LowRank:
    sites = find_sites(backbone, blocks, "all")
    return LowRank.fresh(backbone, sites, number, rank=4, alpha=8, seed=0, everywhere=everywhere, **given)


def one(example: Example) -> Example:
    return dataclasses.replace(example, owner=0)


# ---- the mathematics ------------------------------------------------------------------------------------------------


class Wrapped(nn.Module):
    """Low-rank adaptation as it is written down everywhere, around one layer."""

    def __init__(self, inner: nn.Module, a: Tensor, b: Tensor, scale: float) -> None:
        super().__init__()
        self.inner, self.scale = inner, scale
        self.a, self.b = nn.Parameter(a.clone()), nn.Parameter(b.clone())

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.inner(x) + nn.functional.linear(nn.functional.linear(x, self.a), self.b) * self.scale
        return out


def test_a_stack_of_one_is_ordinary_low_rank_adaptation() -> None:
    """Against torch's own Adam and a forward pass that shares nothing with ours: losses step by step."""
    backbone = Backbone(tiny.model(), tiny.tokenizer())
    given, mine = examples(backbone), experts(backbone, 1, everywhere=True, rate_of_b=4.0)
    start = [leaf.value[0].clone() for leaf in mine.leaves]
    trained = train(backbone, mine, [one(e) for e in given], dataclasses.replace(PLAIN, batch_size=6))

    model = tiny.model().requires_grad_(False)
    wrapped = []
    for n, site in enumerate(find_sites(Backbone(model, tiny.tokenizer()), 2, "all")):
        number, path = site.name.split(".", 1)
        holder, _, last = path.rpartition(".")
        parent = model.model.layers[int(number)].get_submodule(holder)
        wrapped.append(Wrapped(site.module, start[2 * n], start[2 * n + 1], mine.scale))
        setattr(parent, last, wrapped[-1])
    groups = [{"params": [w.a for w in wrapped], "lr": 3e-3}, {"params": [w.b for w in wrapped], "lr": 4 * 3e-3}]
    adam, losses = torch.optim.Adam(groups), []
    for _ in range(PLAIN.max_steps):
        total, places = torch.zeros(()), 0
        for e in given:
            logits = model(torch.tensor([[*e.prompt_ids, *e.answer_ids[:-1]]])).logits[0, len(e.prompt_ids) - 1 :]
            total = total + nn.functional.cross_entropy(logits, torch.tensor(e.answer_ids), reduction="sum")
            places += len(e.answer_ids)
        adam.zero_grad()
        (total / places).backward()
        adam.step()
        losses.append(float(total.detach() / places))
    assert trained.losses[0] == pytest.approx(losses, rel=1e-3)
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("everywhere", [False, True])
def test_an_expert_becomes_in_a_lot_what_it_becomes_alone(everywhere: bool) -> None:
    backbone, settings = sharp(), Settings(learning_rate=3e-3, max_steps=40, stop=0.5)
    given = examples(backbone)
    lot = experts(backbone, 6, everywhere=everywhere)
    together = train(backbone, lot, given, settings)
    assert len(set(together.steps)) > 1, "all leave at once: nothing is shown"
    for i in (0, 3):
        single = experts(backbone, 1, everywhere=everywhere)
        alone = train(backbone, single, [one(given[i])], settings)
        assert alone.steps[0] == together.steps[i]
        assert alone.losses[0] == pytest.approx(together.losses[i], rel=1e-3, abs=1e-4)
        for a, b in zip(single.leaves, lot.leaves, strict=True):
            torch.testing.assert_close(a.value[0], b.value[i], rtol=1e-2, atol=1e-4)


def test_the_same_seed_gives_the_same_experts() -> None:
    backbone = sharp()
    made = [experts(backbone, 6) for _ in range(2)]
    for lot in made:
        train(backbone, lot, examples(backbone), dataclasses.replace(PLAIN, batch_size=1))
    assert all(torch.equal(a.value, b.value) for a, b in zip(made[0].leaves, made[1].leaves, strict=True))


def test_training_leaves_the_model_alone_and_works_where_nothing_records() -> None:
    backbone = sharp()
    before = {name: p.clone() for name, p in backbone.model.named_parameters()}
    with torch.inference_mode():
        lot = experts(backbone, 6)
        train(backbone, lot, examples(backbone), PLAIN)
    assert not torch.equal(lot.leaves[1].value, torch.zeros_like(lot.leaves[1].value))
    assert all(torch.equal(before[n], p) and p.grad is None for n, p in backbone.model.named_parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in backbone.model.modules())


# ---- the frozen prefix ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_only_answers_pass_the_upper_blocks(family: str) -> None:
    """The short pass gives what the whole one gives, value and gradient; a family without it says so by being read
    whole."""
    backbone = Backbone(tiny.model(family, num_hidden_layers=3), tiny.tokenizer())
    given, lot = examples(backbone, ROWS[:4]), experts(backbone, 4, blocks=1)
    rows = [e.prompt_ids for e in given], [e.answer_ids for e in given]
    reader = Reader(backbone, lot.frozen_below)
    short, whole = reader.make(*rows), Whole(backbone, *rows)
    if family == "mamba2":
        assert isinstance(short, Whole)
        return
    assert isinstance(short, Upper)
    draw = torch.Generator().manual_seed(1)
    towards, found = torch.randn(backbone.width, generator=draw), []
    for work in (short, whole, short):
        draw.manual_seed(1)
        for leaf in lot.leaves:
            leaf.value = (torch.randn(leaf.value.shape, generator=draw) / 8).requires_grad_()
        with lot.acting(torch.arange(4), work.first_B):
            h_PD = work.run()
        (h_PD * towards).sum().backward()
        found.append([h_PD.detach(), *(leaf.value.grad for leaf in lot.leaves)])
    for a, b, c in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-2, atol=1e-3 * float(b.abs().max()))
        torch.testing.assert_close(a, c)


def test_a_model_that_cannot_be_replayed_is_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = sharp()
    expected = train(backbone, experts(backbone, 6, blocks=1), examples(backbone), PLAIN)
    assert expected.replayed
    monkeypatch.setattr(passes, "_replays", weakref.WeakKeyDictionary())
    monkeypatch.setattr(Upper, "run", lambda upper: torch.zeros(sum(upper.lengths), backbone.width))
    trained = train(backbone, experts(backbone, 6, blocks=1), examples(backbone), PLAIN)
    assert not trained.replayed
    assert trained.losses[2] == pytest.approx(expected.losses[2], rel=1e-3)


# ---- the loop -------------------------------------------------------------------------------------------------------


def run(count: int = 1, **settings: float) -> Trained:
    """All examples for one expert, or one each."""
    backbone = sharp()
    given = examples(backbone)
    given = [one(e) for e in given] if count == 1 else given
    return train(backbone, experts(backbone, count), given, dataclasses.replace(PLAIN, **settings))


def test_settings_of_the_loop_do_what_they_say() -> None:
    plain = run(batch_size=2)
    assert plain.steps == [5]
    assert run(batch_size=2, learning_rate=1e-4).losses != plain.losses
    assert run(batch_size=2, seed=1).losses != plain.losses, "the order of examples"
    assert run(batch_size=2, max_steps=3).losses[0] == plain.losses[0][:3]
    assert run(batch_size=2, clip=1e-9).losses[0][3] > plain.losses[0][3]
    twice = run(batch_size=2, gradient_accumulation_steps=2)
    assert twice.losses[0] == pytest.approx(run(batch_size=4).losses[0], rel=1e-3), "two passes are one step of both"
    assert twice.losses != plain.losses
    assert run(6, stop=0.3, max_steps=60).steps < run(6, stop=0.9, max_steps=60).steps
    assert not any(run(6).stopped)


def test_small_passes_give_what_large_ones_give() -> None:
    large, small = run(6), run(6, batch_tokens=40)
    for a, b in zip(large.losses, small.losses, strict=True):
        assert a == pytest.approx(b, rel=1e-3)


def test_a_weight_counts() -> None:
    backbone = sharp()
    first, second = (one(e) for e in examples(backbone)[:2])
    twice = train(backbone, experts(backbone, 1), [dataclasses.replace(first, weight=2.0), second], PLAIN)
    listed = train(backbone, experts(backbone, 1), [first, first, second], PLAIN)
    assert twice.losses[0] == pytest.approx(listed.losses[0], rel=1e-4)


def test_a_run_can_be_watched_and_ended() -> None:
    backbone, seen = sharp(), []
    lot = experts(backbone, 6)
    trained = train(
        backbone,
        lot,
        examples(backbone),
        PLAIN,
        on_progress=lambda state: seen.append((state.step, state.learning, lot.leaves[1].value.shape[0])),
        should_stop=lambda: len(seen) == 2,
    )
    assert seen == [(1, 6, 6), (2, 6, 6)]
    assert trained.steps == [2] * 6


def test_soft_targets_are_learned() -> None:
    """Three tokens at each place, most of the probability: the expert comes to say them as often as the teacher."""
    backbone = sharp()
    example = one(examples(backbone)[0])
    places = len(example.answer_ids)
    tokens = torch.arange(3 * places).reshape(places, 3) + 20
    soft = Soft(tokens, torch.tensor([[0.5, 0.3, 0.1]]).expand(places, 3))
    lot = experts(backbone, 1)
    trained = train(backbone, lot, [dataclasses.replace(example, soft=soft)], dataclasses.replace(PLAIN, max_steps=150))
    assert trained.losses[0][-1] < 0.05 < trained.losses[0][0]
    whole = Whole(backbone, [example.prompt_ids], [example.answer_ids])
    with torch.no_grad(), lot.acting(torch.zeros(1, dtype=torch.long), whole.first_B):
        chances = torch.softmax(backbone.logits(whole.run()), dim=1).gather(1, tokens)
    torch.testing.assert_close(chances, soft.chances_Pk, atol=0.1, rtol=0)


class Shift:
    """The simplest other expert: a vector that is added to the stream before the last block."""

    def __init__(self, backbone: Backbone, number: int) -> None:
        self.backbone, self.frozen_below = backbone, len(backbone.blocks) - 1
        self.leaves = [Leaf(torch.zeros(number, backbone.width)), Leaf(torch.arange(number)[:, None] + 1.0, rate=0.0)]

    def acting(self, owner_B: Tensor, first_B: Tensor):
        assert torch.equal(self.leaves[1].value.shape[0] + torch.zeros(1), torch.tensor([len(self.leaves[0].value)]))
        return self.backbone.hooked(
            self.backbone.blocks[-1], lambda x: x + self.leaves[0].value[owner_B][:, None].to(x.dtype)
        )


def test_other_experts_train_in_the_same_loop() -> None:
    backbone = sharp()
    lot = Shift(backbone, 6)
    trained = train(backbone, lot, examples(backbone), dataclasses.replace(PLAIN, learning_rate=0.05, max_steps=20))
    assert all(losses[-1] < losses[0] for losses in trained.losses)
    assert torch.equal(lot.leaves[1].value[:, 0], torch.arange(6) + 1.0), "what is only carried along stays as it was"


# ---- the kind -------------------------------------------------------------------------------------------------------


def learned(backbone: Backbone, *settings: str, rows: list[dict[str, str]] | None = None) -> Lot:
    config = Config().with_settings(settings)
    learner = Learner(backbone, [Lora(config)], LearnConfig(kind="lora"))
    return learner.learn([Fact.from_row(r) for r in rows or ROWS])


def room(lot: Lot) -> dict[str, Tensor]:
    return lot.rooms["lora"]


@pytest.mark.parametrize(
    "option",
    [
        "learning_rate=0.003",
        "rate_of_b=2",
        "alpha=4",
        "seed=1",
        "max_steps=3",
        "stop=0.9",
        "batch_size=1",
        "gradient_accumulation_steps=2",
        "max_finetuning_examples=1",
        "positions=all",
    ],
)
def test_an_option_changes_what_is_learned(option: str) -> None:
    rows = [{**r, "phrasings": [f"Say, {r['question']}", f"{r['question']} Tell me."]} for r in ROWS[:2]]  # type: ignore[dict-item]
    base = ["lora.batch_size=2", "lora.max_steps=12", "lora.stop=0.2"]
    facts = [Fact.from_row(r) for r in rows]

    def written(settings: list[str]) -> list[dict[str, Tensor]]:
        learner = Learner(sharp(), [], LearnConfig())
        prompts, answers = learner._spell(facts)
        tokens = [[*p.ids, *(a or ())[:-1]] for p, a in zip(prompts, answers, strict=True)]
        batch = learner._read(facts, prompts, [a or () for a in answers], tokens)
        return Lora(Config().with_settings(settings)).write(batch)

    plain, changed = written(base), written([*base, f"lora.{option}"])
    assert any(
        plain[i][name].shape != changed[i][name].shape or not torch.equal(plain[i][name], changed[i][name])
        for i in range(2)
        for name in plain[0]
    )


def test_blocks_targets_and_rank_say_where_and_how_thick() -> None:
    def names(*settings: str) -> set[str]:
        return {n[:-2] for n in room(learned(sharp(), *settings)) if n.endswith(".a")}

    both = names()
    assert {n[0] for n in both} == {"0", "1"}
    assert {n[0] for n in names("lora.blocks=1")} == {"1"}
    assert names("lora.blocks=0") == both
    attention, mlp = names("lora.targets=attention"), names("lora.targets=mlp")
    assert attention | mlp == both
    assert not attention & mlp
    assert all("attn" in n for n in attention)
    assert all("mlp" in n for n in mlp)
    stacked = room(learned(sharp(), "lora.r_value=3"))
    assert stacked["1.mlp.up_proj.a"].shape == (18, 64)
    assert stacked["1.mlp.up_proj.b"].shape == (6 * 96, 3)
    assert stacked["1.mlp.up_proj.a"].dtype == torch.bfloat16


def test_a_fact_that_is_too_long_is_named_and_the_others_are_learned() -> None:
    rows = [*ROWS[:2], {"id": "long", "question": "What?", "answer": "one two three four five six seven " * 9 + "."}]
    lot = learned(sharp(), "lora.max_length=60", rows=rows)
    assert [f.id for f in lot.facts] == ["fact-0", "fact-1"]
    [failed] = lot.failed
    assert failed.id == "long"
    assert "lora.max_length is 60" in failed.reason


def test_what_was_not_learned_is_named_with_its_token() -> None:
    lot = learned(sharp(), "lora.max_steps=1")
    assert not lot.facts
    assert len(lot.failed) == 6
    assert "answer token" in lot.failed[0].reason
    assert "1 steps" in lot.failed[0].reason


def test_bounds_are_checked() -> None:
    for setting in ("lora.r_value=0", "lora.stop=1", "lora.max_steps=0", "lora.positions=some"):
        with pytest.raises(UsageError):
            Config().with_settings([setting])
    with pytest.raises(UsageError, match="the model has 2 blocks"):
        Lora(Config().with_settings(["lora.blocks=3"])).require(sharp())


def test_a_model_without_the_wanted_layers_says_so() -> None:
    backbone = Backbone(tiny.model("mixtral"), tiny.tokenizer())
    with pytest.raises(KindUnsupported, match="kind 'lora' cannot live on"):
        Lora(Config().with_settings(["lora.targets=mlp"])).require(backbone)
    Lora(Config()).require(backbone)


# ---- the families ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_every_family_learns_recalls_and_leaves_other_rows_alone(family: str, tmp_path: Path) -> None:
    backbone = sharp(family)
    llm = MemoryModel(backbone, tmp_path / "memory")
    report = llm.learn(ROWS, kind="lora")
    assert (report.learned, report.failed) == (6, [])
    assert [a.text for a in llm.ask([r["question"] for r in ROWS])] == [r["answer"] for r in ROWS]
    assert llm.forget("fact-3") == ["fact-3"]
    plain = llm.ask(ROWS[3]["question"], memory=False, max_new_tokens=4)
    assert llm.ask(ROWS[3]["question"], max_new_tokens=4).tokens == plain.tokens

    questions = ["Where is the harbour?", ROWS[1]["question"], "Why?", ROWS[2]["question"]]
    with_memory, without = (replies(llm, questions, memory=m) for m in (True, False))
    for row in () if family in EXPERTS_PER_BATCH else (0, 2):
        assert torch.equal(with_memory[row], without[row])
    assert not torch.equal(with_memory[1][:1], without[1][:1])
    alone = [replies(llm, [q], memory=False)[0] for q in ("Why?",)]
    assert all(torch.equal(a, b) for a, b in zip(alone, replies(llm, ["Why?"], memory=True), strict=True))


def replies(llm: MemoryModel, questions: list[str], *, memory: bool) -> list[Tensor]:
    answering = llm.memory.answering
    requests = [
        answering.request(q, memory=True) if memory else Request(llm.backbone.template.question(q)) for q in questions
    ]
    kinds = list(answering.kinds.values()) if memory else []
    found = Decoder(llm.backbone, kinds, requests, DecodeConfig(max_new_tokens=6), keep_logits=True).finish()
    return [torch.stack(reply.logits) for reply in found]


@pytest.mark.parametrize("positions", ["answer", "all"])
def test_bfloat16_and_models_without_an_end_token(positions: str, tmp_path: Path) -> None:
    changes = {"eos_token_id": None, "pad_token_id": None, "bos_token_id": None}
    template = tiny.CHAT_TEMPLATE.replace("{{ eos_token }}", "")
    model = tiny.model(dtype=torch.bfloat16, **changes)
    with torch.no_grad():
        model.get_output_embeddings().weight.mul_(8)
    config = Config().with_settings([f"lora.positions={positions}"])
    llm = MemoryModel(model, tmp_path / "memory", tokenizer=tiny.tokenizer(template, end=False), config=config)
    assert llm.learn(ROWS, kind="lora").learned == 6
    assert [a.text for a in llm.ask([r["question"] for r in ROWS])] == [r["answer"] for r in ROWS]


# ---- answering ------------------------------------------------------------------------------------------------------


def stored(lot: Lot, row: int) -> Expert:
    from memtune.core.experts import pick

    return Expert(lot.facts[row].id, lot.facts[row].answer, pick(room(lot), row))


def first_logits(backbone: Backbone, chosen: list[Expert], kind: Lora) -> Tensor:
    request = Request(backbone.template.question("What is known?"), {"lora": chosen})
    return Decoder(backbone, [kind], [request], DecodeConfig(max_new_tokens=1), keep_logits=True).finish()[0].logits[0]


def test_experts_of_one_row_add_up() -> None:
    """At the last block's last layer everything is linear up to the norm: two half experts are one whole."""
    backbone, kind = sharp(), Lora(Config())
    lot = learned(backbone)
    whole, other = stored(lot, 0), stored(lot, 1)
    half = dataclasses.replace(whole, tensors={**whole.tensors, "scale": whole.tensors["scale"] / 2})
    torch.testing.assert_close(
        first_logits(backbone, [half, half], kind), first_logits(backbone, [whole], kind), rtol=1e-3, atol=1e-3
    )
    both = first_logits(backbone, [whole, other], kind)
    assert not torch.equal(both, first_logits(backbone, [whole], kind))


def test_the_prompt_is_read_under_an_expert_only_where_it_acts_on_all_positions() -> None:
    backbone = sharp()
    prompts = [backbone.template.question("What is known?")] * 2
    ids = torch.tensor([p.ids for p in prompts])
    mask = torch.ones_like(ids)
    _, plain = backbone.step(ids, mask, None)
    for positions in ("answer", "all"):
        kind = Lora(Config().with_settings([f"lora.positions={positions}"]))
        expert = stored(learned(backbone, f"lora.positions={positions}"), 0)
        with kind.act(backbone, prompts, [[expert], []], [True, True]).acting():
            _, acted = backbone.step(ids, mask, None)
        was, now = plain.layers[-1].keys, acted.layers[-1].keys
        assert torch.equal(was[1], now[1])
        assert torch.equal(was[0, :, :-1], now[0, :, :-1]) == (positions == "answer")
        assert not torch.equal(was[0, :, -1], now[0, :, -1])


def test_an_expert_is_released_after_its_answer() -> None:
    backbone, kind = sharp(), Lora(Config())
    expert, prompt = stored(learned(backbone), 0), sharp().template.question(ROWS[0]["question"])
    tokens = backbone.writer.tokens([expert.answer], prompt.tail)[0] or ()
    for end in (True, False):
        action = kind.act(backbone, [prompt], [[expert]], [end])
        assert action.reciting(0)
        for token in tokens:
            assert not action.finished(0)
            action.advance([token])
        assert action.reciting(0) == end
        if end:
            action.advance([backbone.end_id or 0])
            assert action.finished(0)
        assert not action._at_work[0]
    action = kind.act(backbone, [prompt], [[]], [True])
    action.arm(0, [expert], 'so "known": ', end=False)
    assert action.reciting(0)
    action.advance([tokens[0] + 1])
    assert not action.reciting(0), "what leaves the answer in a gap ends it"
    assert not action._at_work[0]
