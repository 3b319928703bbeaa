"""`memtune bench …`: one command a benchmark. Whatever is heavy is imported when a benchmark runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memtune.checked import replace
from memtune.config import DEFAULT_MODEL, Config
from memtune.evaluate.output import publish, require_room, say

if TYPE_CHECKING:
    from memtune.core.backbone import Backbone
    from memtune.core.facts import Fact
    from memtune.evaluate.output import Result

app = typer.Typer(
    name="bench",
    help="Measure learning, decoding, recall and use, each beside what it is compared with.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)

Model = Annotated[str, typer.Option("--model", metavar="M", help="The bundled model, a folder, or a name of the hub.")]
Data = Annotated[
    list[Path] | None,
    typer.Option("--data", metavar="FILE", help="Facts with question and answer; may be repeated."),
]
Count = Annotated[int | None, typer.Option("--n", min=1, help="Facts at most, drawn by --seed; all by default.")]
Seed = Annotated[int, typer.Option("--seed", help="Of every draw.")]
Threads = Annotated[int | None, typer.Option("--threads", min=1, help="Of the processor; default: those of torch.")]
Out = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write everything as JSON, failures by id.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting, as in imprint.margin=12.")
]
Kind = Annotated[str, typer.Option("--kind", help="imprint, kv or imprint+kv.")]
Kinds = Annotated[str, typer.Option("--kinds", help="Which of them, with commas between.")]
Repeats = Annotated[int, typer.Option("--repeats", min=1, help="Runs that a median is taken of.")]
_USUAL_KIND = Config().learn.kind
_ALL_KINDS = "imprint,kv,imprint+kv"


@dataclass(frozen=True)
class Run:
    """One call of one benchmark: where its model and facts come from, where its result goes."""

    name: str
    options: dict[str, Any]

    @classmethod
    def begin(cls, name: str, **options: Any) -> Run:
        require_room(options["out"])
        if options["threads"]:
            import torch

            torch.set_num_threads(options["threads"])
        return cls(name, options)

    @property
    def seed(self) -> int:
        return int(self.options["seed"])

    @property
    def paths(self) -> list[Path]:
        return list(self.options["data"] or ())

    def config(self, **learn: Any) -> Config:
        import dataclasses

        config = Config().with_settings(self.options["settings"] or ())
        return dataclasses.replace(config, learn=replace(config.learn, **learn))

    def facts(self) -> list[Fact]:
        from memtune.bench import data

        return data.draw(self.paths, self.options.get("n"), self.seed)

    def backbone(self) -> Backbone:
        from memtune.backbones.loading import load_backbone

        return load_backbone(self.options["model"])

    def end(self, backbone: Backbone | None, result: Result) -> None:
        from memtune import __version__
        from memtune.bench import machine

        at_work = (str(backbone.device), str(backbone.dtype)) if backbone else ("cpu", "none")
        context = {
            "memtune": __version__,
            "backbone": backbone and backbone.identity.to_json(),
            "machine": machine.describe(*at_work),
            "options": self.options,
        }
        publish(self.name, result, context, self.options["out"])


@app.command()
def learn(
    model: Model = DEFAULT_MODEL, data: Data = None, n: Count = None, seed: Seed = 0, threads: Threads = None,
    out: Out = None, settings: Settings = None, kinds: Kinds = _ALL_KINDS, repeats: Repeats = 3,
    peers: Annotated[bool, typer.Option("--peers/--no-peers", help="Beside gradient methods.")] = True,
    time_limit: Annotated[float, typer.Option("--time-limit", help="Seconds for each method and rate.")] = 300.0,
) -> None:  # fmt: skip
    """Learning against reading, peft LoRA and full fine-tuning."""
    run = Run.begin("learn", **locals())
    from memtune.bench import gradient, learning

    if peers:
        gradient.require()
    facts, backbone = run.facts(), run.backbone()
    result = learning.measure(
        backbone, facts, run.config(), kinds=kinds.split(","), repeats=repeats, with_peers=peers,
        time_limit=time_limit, seed=seed, say=say,
    )  # fmt: skip
    run.end(backbone, result)


@app.command()
def decode(
    model: Model = DEFAULT_MODEL, data: Data = None, n: Count = None, seed: Seed = 0, threads: Threads = None,
    out: Out = None, settings: Settings = None, kinds: Kinds = _ALL_KINDS, repeats: Repeats = 7,
    tokens: Annotated[int, typer.Option("--tokens", min=1, help="Decoded per prompt at most.")] = 64,
) -> None:  # fmt: skip
    """Tokens per second with experts and without, at batch 1 and 16."""
    run = Run.begin("decode", **locals())
    from memtune.bench import decoding

    facts, backbone = run.facts(), run.backbone()
    run.end(
        backbone,
        decoding.measure(
            backbone, facts, run.config(), kinds=kinds.split(","), max_tokens=tokens, repeats=repeats, say=say
        ),
    )


@app.command()
def recall(
    model: Model = DEFAULT_MODEL, data: Data = None, n: Count = None, seed: Seed = 0, threads: Threads = None,
    out: Out = None, settings: Settings = None, kind: Kind = _USUAL_KIND,
    sample: Annotated[int, typer.Option("--sample", min=0, help="Facts asked on further surfaces; 0 for all.")] = 0,
) -> None:  # fmt: skip
    """Exact recall on every surface, and what it costs."""
    run = Run.begin("recall", **locals())
    from memtune.bench import recall as bench

    facts, backbone = run.facts(), run.backbone()
    run.end(backbone, bench.measure(backbone, facts, run.config(kind=kind), sample=sample, seed=seed, say=say))


@app.command()
def identity(
    model: Model = DEFAULT_MODEL, data: Data = None, n: Count = None, seed: Seed = 0, threads: Threads = None,
    out: Out = None, settings: Settings = None, kind: Kind = "imprint+kv",
    prompts: Annotated[Path | None, typer.Option("--prompts", help="Further prompts, one a line.")] = None,
    number: Annotated[int, typer.Option("--number", min=1, help="Prompts about other things.")] = 1000,
) -> None:  # fmt: skip
    """Bit-equality of tokens and logits where no fact is asked for. Exit code 1 where anything differs."""
    run = Run.begin("identity", **locals())
    from memtune.bench import identity as bench

    facts, backbone = run.facts(), run.backbone()
    asked = bench.other_prompts(number, seed)
    if prompts is not None:
        asked += [line.strip() for line in prompts.read_text(encoding="utf-8").splitlines() if line.strip()]
    result = bench.measure(backbone, facts, run.config(kind=kind), asked, say=say)
    run.end(backbone, result)
    if not result.passed:
        raise typer.Exit(1)


@app.command()
def forget(
    model: Model = DEFAULT_MODEL, data: Data = None, n: Count = 5000, seed: Seed = 0, threads: Threads = None,
    out: Out = None, settings: Settings = None, kind: Kind = _USUAL_KIND,
    changes: Annotated[int, typer.Option("--changes", min=1, help="Facts to forget, and to update.")] = 20,
    sample: Annotated[int, typer.Option("--sample", min=0, help="Neighbours that are asked; 0 for all.")] = 0,
) -> None:  # fmt: skip
    """Forgetting and updating in an open process. Exit code 1 where a forgotten fact leaves a trace."""
    run = Run.begin("forget", **locals())
    from memtune.bench import forgetting

    facts, backbone = run.facts(), run.backbone()
    result = forgetting.measure(
        backbone, facts, run.config(kind=kind), changes=changes, sample=sample, seed=seed, say=say
    )
    run.end(backbone, result)
    if not result.passed:
        raise typer.Exit(1)


@app.command()
def kv(
    model: Model = DEFAULT_MODEL, n: Annotated[int, typer.Option("--n", min=2, help="Invented facts.")] = 200,
    seed: Seed = 0, threads: Threads = None, out: Out = None, settings: Settings = None,
) -> None:  # fmt: skip
    """Invented facts in key-value rows against the same text in the context; the kinds against each other."""
    run = Run.begin("kv", **locals())
    from memtune.bench import invented, knowing

    backbone = run.backbone()
    world = invented.invented(n, seed)
    run.end(backbone, knowing.measure(backbone, world, run.config(), seed=seed, say=say))


@app.command()
def lora(
    model: Model = DEFAULT_MODEL, data: Data = None, n: Count = 64, seed: Seed = 0, threads: Threads = None,
    out: Out = None, settings: Settings = None, repeats: Repeats = 3,
    peers: Annotated[bool, typer.Option("--peers/--no-peers", help="Beside peft LoRA.")] = True,
    time_limit: Annotated[float, typer.Option("--time-limit", help="Seconds for each method and rate.")] = 60.0,
) -> None:  # fmt: skip
    """Low-rank experts against peft LoRA; experts of a lot against single ones."""
    run = Run.begin("lora", **locals())
    from memtune.bench import gradient
    from memtune.bench import lora as bench

    if peers:
        gradient.require()
    facts, backbone = run.facts(), run.backbone()
    result = bench.measure(
        backbone, facts, run.config(), with_peers=peers, time_limit=time_limit, repeats=repeats, seed=seed, say=say
    )
    run.end(backbone, result)


@app.command()
def scale(
    model: Model = DEFAULT_MODEL, data: Data = None, seed: Seed = 0, threads: Threads = None, out: Out = None,
    settings: Settings = None, kind: Kind = _USUAL_KIND, repeats: Repeats = 3,
    sizes: Annotated[str, typer.Option("--sizes", help="Rows, with commas between.")] = "1000,100000",
    sample: Annotated[int, typer.Option("--sample", min=1, help="Facts that are asked.")] = 2000,
    on_conflict: Annotated[str, typer.Option("--on-conflict", help="Or error, or keep-last.")] = "keep-first",
) -> None:  # fmt: skip
    """Many facts: time per fact, memory, recall, opening, routing, disk."""
    run = Run.begin("scale", **locals())
    from memtune.bench import scale as bench

    backbone, config = run.backbone(), run.config(kind=kind, on_conflict=on_conflict)
    wanted = [int(size) for size in sizes.split(",")]
    run.end(backbone, bench.measure(backbone, run.paths, config, sizes=wanted, sample=sample, repeats=repeats,
                                    seed=seed, say=say))  # fmt: skip


@app.command()
def route(
    model: Model = DEFAULT_MODEL, seed: Seed = 0, threads: Threads = None, out: Out = None, settings: Settings = None,
    tofu: Annotated[Path | None, typer.Option("--tofu", metavar="FILE", help="TOFU's questions, learned.")] = None,
    tofu_paraphrases: Annotated[
        Path | None, typer.Option("--tofu-paraphrases", metavar="FILE", help="The same in other words, asked.")
    ] = None,
    counterfact: Annotated[
        Path | None,
        typer.Option("--counterfact", metavar="FILE", help="Prompts, learned; rephrasings and near misses, asked."),
    ] = None,
    wikitext: Annotated[
        Path | None, typer.Option("--wikitext", metavar="FILE", help="Text whose passages must not fire.")
    ] = None,
    half: Annotated[str | None, typer.Option("--half", help="A or B: only queries of this half.")] = None,
    sample: Annotated[int | None, typer.Option("--sample", min=1, help="Queries of each kind at most.")] = None,
    ids: Annotated[int, typer.Option("--ids", min=1, help="Facts that differ in one digit or letter.")] = 10_000,
    entities: Annotated[int, typer.Option("--entities", min=1, help="Invented firms, five facts each.")] = 2_000,
    taught: Annotated[
        int, typer.Option("--taught", min=0, help="Firms, and ids a kind, given other wordings; the rest is asked.")
    ] = 20,
    ordinary: Annotated[int, typer.Option("--ordinary", min=2, help="Prompts that ask for no fact.")] = 4_000,
    rivals: Annotated[bool, typer.Option("--rivals/--no-rivals", help="Beside MiniLM, BM25 and TF-IDF.")] = True,
    encoder: Annotated[str | None, typer.Option("--encoder", help="Short for --set router.encoder=NAME.")] = None,
    lists: Annotated[
        Path | None, typer.Option("--lists", metavar="DIR", help="Write near misses kept and removed, to be read.")
    ] = None,
    sizes: Annotated[str, typer.Option("--sizes", help="Keys to search among too, as 100000,1000000.")] = "",
    data: Annotated[
        list[Path] | None, typer.Option("--data", metavar="FILE", help="Questions that --sizes makes keys of.")
    ] = None,
) -> None:  # fmt: skip
    """The right fact, a wrong one or none: paraphrases, near misses, ids, relations, ordinary text."""
    run = Run.begin("route", **locals())
    from memtune.bench import nearest, route_data
    from memtune.bench import route as bench
    from memtune.bench.route_rivals import RIVALS

    config = run.config()
    if encoder is not None:
        config = config.with_settings([f"router.encoder={encoder}"])
    sources = route_data.Sources(
        tofu, tofu_paraphrases, counterfact, wikitext, half, sample, ids, entities, taught, ordinary
    )
    sets = route_data.load_sets(sources, seed)
    if lists is not None:
        for path in route_data.write_lists(sets.verdicts, lists):
            say(f"written to {path}")
    backbone = run.backbone()
    result = bench.measure(sets, config, half=half, rivals=RIVALS if rivals else (), say=say)
    if sizes:
        wanted = [int(size) for size in sizes.split(",")]
        result.nearest = nearest.measure([f.question for f in run.facts()], config, sizes=wanted, seed=seed, say=say)
    run.end(backbone, result)


@app.command()
def nearest(
    data: Data = None, n: Count = None, seed: Seed = 0, threads: Threads = 1, out: Out = None,
    settings: Settings = None,
    sizes: Annotated[str, typer.Option("--sizes", help="Keys, with commas between.")] = "100000,1000000",
    queries: Annotated[int, typer.Option("--queries", min=2, help="That are asked.")] = 1000,
) -> None:  # fmt: skip
    """Finding the nearest of many keys: what is found, how quickly, in how much memory. One thread, no model."""
    run = Run.begin("nearest", **locals())
    from memtune.bench import nearest as bench

    wanted = [int(size) for size in sizes.split(",")]
    questions = [fact.question for fact in run.facts()]
    run.end(None, bench.measure(questions, run.config(), sizes=wanted, queries=queries, seed=seed, say=say))


@app.command()
def history(
    model: Model = DEFAULT_MODEL, threads: Threads = 1, out: Out = None,
    n: Annotated[int, typer.Option("--n", min=2048, help="Facts of the large memory.")] = 100_000,
    commits: Annotated[int, typer.Option("--commits", min=1, help="Of the writer beside the readers.")] = 200,
    readers: Annotated[int, typer.Option("--readers", min=1, help="Processes that ask beside the writer.")] = 8,
) -> None:  # fmt: skip
    """A large memory as a database: opening, committing, comparing, merging; readers beside a writer."""
    run = Run.begin("history", **locals())
    from memtune.bench import history as bench

    backbone = run.backbone()
    run.end(backbone, bench.measure(backbone, n=n, commits=commits, reading=readers, say=say))


@app.command()
def serve(
    model: Model = DEFAULT_MODEL, seed: Seed = 0, threads: Threads = None, out: Out = None, settings: Settings = None,
    repeats: Repeats = 3,
    seconds: Annotated[
        float, typer.Option("--seconds", min=1, help="All clients ask several memories; a quarter of it for each turn.")
    ] = 20.0,
    clients: Annotated[int, typer.Option("--clients", min=1, help="That ask at one time, each again and again.")] = 64,
    facts: Annotated[int, typer.Option("--facts", min=8, help="Of each memory.")] = 200,
    tokens: Annotated[int, typer.Option("--tokens", min=8, help="Of an answer, four more or fewer.")] = 24,
    experts: Annotated[int, typer.Option("--experts", min=2, help="In flight, against a single one.")] = 100,
    peers: Annotated[
        bool, typer.Option("--peers/--no-peers", help="Beside `transformers serve`, and peft with many adapters.")
    ] = True,
    soak: Annotated[bool, typer.Option("--soak", help="Only the clients at several memories.")] = False,
) -> None:  # fmt: skip
    """A server asked by many clients. Exit code 1 where a request fails or the wrong memory answers."""
    run = Run.begin("serve", **locals())
    import torch

    from memtune.bench import serve as bench

    size = bench.Size(seconds, clients, facts, tokens, experts, repeats, threads or torch.get_num_threads(), seed)
    backbone = run.backbone()
    result = bench.measure(
        backbone, model, run.config(), size, settings=settings or (), soak_only=soak, with_peers=peers, say=say
    )
    run.end(backbone, result)
    for fault in result.faults:
        say(f"fault: {fault}")
    if result.faults:
        raise typer.Exit(1)
