"""What commands name as files, read whole: facts, cases of one's own, held-out texts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from memtune.config import Config
from memtune.core.facts import Fact
from memtune.errors import InputError
from memtune.evaluate.ability import read_text
from memtune.evaluate.cases import Case
from memtune.evaluate.gather import gather, not_asked
from memtune.evaluate.output import Say, silent
from memtune.ingest import open_facts

_PASSAGE = 2_000
"""Characters that are read as one text."""
_PASSAGES = 24


def facts_from(path: str | Path, config: Config, say: Say = silent) -> list[Fact]:
    """The facts that a memory which learns them would answer with now."""
    source = open_facts(path, config.learn)
    source.check()
    found, now = list(source), time.time()
    if not found:
        raise InputError(f"{path}: there are no facts in it")
    served = [fact for fact in found if fact.state != "archived" and fact.validity.holds(now)]
    if not served:
        raise InputError(f"{path}: none of its facts is in force", hint="look at 'valid_from' and 'valid_until'")
    if len(served) < len(found):
        say(not_asked(len(found) - len(served)))
    return served


def cases_from(facts: Sequence[Fact], data: Path | None, seed: int) -> list[Case]:
    """Other wordings and near misses of a file, with the roles that its rows have; what is tuned on, a race decides."""
    if data is None:
        return []
    found = gather(facts, data, tuning=0, seed=seed)
    return [case for case in found.cases if case.extra.get("where") and case.role != "recall"]


def texts_from(paths: Sequence[Path]) -> list[str]:
    """Passages from all over each text."""
    found = []
    for path in paths:
        text = read_text(path)
        pieces = [text[start : start + _PASSAGE] for start in range(0, len(text), _PASSAGE)]
        found += pieces[:: max(1, len(pieces) // _PASSAGES)][:_PASSAGES]
    return found
