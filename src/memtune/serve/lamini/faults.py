"""What can go wrong, with the reference's status codes."""

from __future__ import annotations

from memtune.errors import (
    BackboneError,
    ExtraMissing,
    FolderError,
    InputError,
    KindUnsupported,
    MemtuneError,
    NoSpace,
    NotFound,
    UnknownFact,
    UnknownVersion,
    UsageError,
)
from memtune.serve.desk import Busy
from memtune.serve.jobs import NameTaken
from memtune.serve.keys import Forbidden
from memtune.serve.shelf import UnknownModel


class Duplicate(UsageError):
    """A name that is taken."""


class UnknownDataset(NotFound):
    """A data set that is not there, or not the key's."""


class UnknownResult(NotFound):
    """An id that was never given out, was given to another key, or is too old."""


_CODES: tuple[tuple[type[Exception], int], ...] = (
    (UnknownModel, 594),
    (Duplicate, 497),
    (NameTaken, 497),
    (Forbidden, 403),
    (UnknownDataset, 499),
    (NotFound, 404),
    (UnknownFact, 404),
    (UnknownVersion, 594),
    (UsageError, 400),
    (InputError, 400),
    (KindUnsupported, 400),
    (NoSpace, 507),
    (FolderError, 503),
    (BackboneError, 503),
    (ExtraMissing, 501),
    (Busy, 429),
)
"""The first that fits; other faults are 500."""


def code_of(fault: Exception) -> int:
    return next((code for kind, code in _CODES if isinstance(fault, kind)), 500)


def detail_of(fault: Exception) -> str:
    """What is said of a fault: one line. Of what is no fault of memtune, nothing is told."""
    if isinstance(fault, MemtuneError):
        return f"{fault.message}; {fault.hint}" if fault.hint else fault.message
    return str(fault) if isinstance(fault, Busy) else "the server failed"
