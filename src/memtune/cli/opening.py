"""Where commands get a model or a memory from: the only place that loads either."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memtune.errors import ExtraMissing, UsageError

if TYPE_CHECKING:
    from memtune.config import Config, TransferConfig
    from memtune.core.facts import Fact
    from memtune.evaluate.card import Card
    from memtune.evaluate.check import DataReport
    from memtune.evaluate.compare.race import Race
    from memtune.evaluate.lab.capacity import Capacity
    from memtune.evaluate.lab.passages import Passages
    from memtune.evaluate.lab.retention import Retention
    from memtune.evaluate.output import Sheet
    from memtune.evaluate.recipe import Recipe, Step
    from memtune.evaluate.roles import Contamination
    from memtune.evaluate.run import Evaluation
    from memtune.evaluate.skills import SkillReport
    from memtune.evaluate.sweep import Sweep
    from memtune.evaluate.use.measure import Use
    from memtune.history import History
    from memtune.inbox import Inbox
    from memtune.life import Life
    from memtune.migrate import Migrated
    from memtune.model import MemoryModel
    from memtune.serve.keys import Keys
    from memtune.skills import Skills
    from memtune.store import MemoryFolder
    from memtune.transfer import Moved


def load_model(model: str, memory: Path | None, config: Config, author: str | None = None) -> MemoryModel:
    from memtune.model import MemoryModel

    return MemoryModel(model, memory, config=config, author=author)


def serve(data: Path, config: Config, **given: Any) -> None:
    """As `memtune.serve.http.running.serve` takes it."""
    for package in ("fastapi", "uvicorn", "prometheus_client", "multipart"):
        if find_spec(package) is None:
            raise ExtraMissing({"multipart": "python-multipart"}.get(package, package), "serve")
    # Threads of a product that wait for each other would keep the processor from those that answer clients.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    from memtune.serve.http.running import serve as run

    run(data, config, **given)


@contextmanager
def open_keys(data: Path, *, make: bool = False) -> Iterator[Keys]:
    """The keys of a server's data folder; `make`: which is made if it is not there."""
    from memtune.errors import NotFound
    from memtune.serve.database import Database, usable
    from memtune.serve.keys import Keys
    from memtune.store.durable import plain_errors

    if not make and not (data / "server.sqlite").exists():
        raise NotFound(f"{data} is no server's folder", hint="name it by --data, or MEMTUNE_DATA")
    with plain_errors(data):
        data.mkdir(parents=True, exist_ok=True)
    with usable(data / "server.sqlite"), closing(Database(data / "server.sqlite")) as database:
        yield Keys(database)


def address(memory: Path, at: str) -> Path:
    from memtune.store.refs import named

    path = named(memory)
    return path.with_name(f"{path.name}@{at}")


def open_history(memory: Path, author: str | None) -> History:
    from memtune.history import History

    return History.open(memory, author)


def repair(memory: Path) -> list[str]:
    from memtune.store.mending import mend

    return mend(memory)


def export(memory: Path, file: Path) -> Moved:
    from memtune import transfer

    with open_folder(memory) as folder:
        return transfer.export(folder, file)


def import_memory(file: Path, memory: Path, config: TransferConfig) -> Moved:
    from memtune import transfer

    return transfer.import_memory(file, memory, config)


def push(memory: Path, to: str) -> Moved:
    from memtune import transfer

    with open_folder(memory) as folder:
        return transfer.push(folder, to)


def pull(source: str, memory: Path) -> Moved:
    from memtune import transfer

    return transfer.pull(source, memory)


def migrate(memory: Path) -> Migrated:
    from memtune.migrate import migrate as bring

    return bring(memory)


def life_of(memory: Path, fact_id: str) -> Life:
    from memtune import life

    with open_folder(memory) as folder:
        return life.life_of(folder, fact_id)


def facts_in(memory: Path, state: str, where: Mapping[str, str] | None) -> list[Fact]:
    from memtune import life

    with open_folder(memory) as folder:
        return list(life.in_state(folder, state, where))


def open_folder(memory: Path) -> MemoryFolder:
    from memtune.store import MemoryFolder

    return MemoryFolder.open(memory)


def open_inbox(memory: Path) -> Inbox:
    from memtune.config import InboxConfig
    from memtune.inbox import Inbox

    with open_folder(memory) as folder:
        return Inbox(folder.path, InboxConfig())


def open_skills(memory: Path, author: str | None = None) -> Skills:
    from memtune.skills import Skills

    return Skills(lambda: open_history(memory, author))


# ---- evaluation -----------------------------------------------------------------------------------------------------


def use_threads(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)


def new_memory(model: str, memory: Path, config: Config) -> closing[MemoryModel]:
    """A model with a memory that is yet to be made."""
    from memtune.store import MemoryFolder

    if MemoryFolder.exists(memory):
        raise UsageError(f"there is a memory at {memory}", hint="name a new folder with --memory DIR")
    return closing(load_model(model, memory, config))


def evaluate(model: MemoryModel, **options: Any) -> Evaluation:
    from memtune.evaluate import run

    return run.evaluate(model, **options)


def race(
    model: MemoryModel, facts: str, contenders: Sequence[str], *, data: Path | None, texts: Sequence[Path],
    seed: int, **options: Any,
) -> Race:  # fmt: skip
    from memtune.evaluate import files
    from memtune.evaluate.compare.race import race as run

    rows = files.facts_from(facts, model.config, options["say"])
    cases, read = files.cases_from(rows, data, seed), files.texts_from(texts)
    return run(model.backbone, rows, contenders, config=model.config, cases=cases, texts=read, seed=seed, **options)


def recipe(model: MemoryModel, facts: str, **options: Any) -> tuple[Recipe, Iterator[Step]]:
    from memtune.evaluate.recipe import Recipe, follow

    found = Recipe()
    return found, follow(model, facts, found, **options)


def sweep(model: MemoryModel, facts: str, grid: Mapping[str, Sequence[str]], *, max_n: int, **options: Any) -> Sweep:
    from memtune.evaluate import files
    from memtune.evaluate.sweep import sweep as run

    rows = files.facts_from(facts, model.config, options["say"])
    return run(model.backbone, rows, grid, config=model.config, sample=max_n, **options)


def use(model: MemoryModel, **options: Any) -> Use:
    from memtune.evaluate.use.measure import use as run

    return run(model.backbone, model.config, **options)


def passages(model: MemoryModel, **options: Any) -> Passages:
    from memtune.evaluate.lab.passages import passages as run

    return run(model.backbone, model.config, **options)


def retention(model: MemoryModel, facts: str, **options: Any) -> Retention:
    from memtune.evaluate import files
    from memtune.evaluate.lab.retention import retention as run

    return run(model.backbone, files.facts_from(facts, model.config, options["say"]), config=model.config, **options)


def capacity(model: MemoryModel, **options: Any) -> Capacity:
    from memtune.evaluate.lab.capacity import capacity as run

    return run(model.backbone, config=model.config, **options)


def judge_skill(model: MemoryModel, name: str, **options: Any) -> SkillReport:
    from memtune.evaluate.skills import judge

    return judge(model, name, **options)


def check_data(facts: str, model: MemoryModel | None, **options: Any) -> DataReport:
    from memtune.evaluate.check import check_data as run

    return run(facts, model=model, **options)


def contained(facts: str, against: Path) -> Contamination:
    from memtune.evaluate.roles import contained as run

    return run(facts, against)


def card_of(found: Evaluation, model: MemoryModel, **context: Any) -> Card:
    from memtune.evaluate.present import card_of as make

    return make(found, model, **context)


def card_of_race(found: Race, **context: Any) -> Card:
    from memtune.evaluate.present import card_of_race as make

    return make(found, **context)


def require_card_folder(out: Path, replace: bool) -> None:
    from memtune.evaluate.card import require_folder

    require_folder(out, replace=replace)


def write_card(card: Card, out: Path, replace: bool) -> list[Path]:
    from memtune.evaluate.card import write_card as write

    return write(card, out, replace=replace)


def as_plain(found: Any) -> Any:
    from memtune.evaluate.output import plain

    return plain(found)


def show(sheets: Sequence[Sheet]) -> None:
    from memtune.evaluate.output import show_sheets

    show_sheets(sheets)


def today() -> str:
    from datetime import date

    return date.today().isoformat()
