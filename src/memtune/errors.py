"""Everything that can go wrong, in one tree. Each error is one clear line and, where there is one, a hint.

MemtuneError                    a fault: exit code 1
├── UsageError                  the caller asked for something that does not exist: exit code 2
│   ├── UnknownSetting          a `--set` key nobody knows
│   ├── NotFound                a file, folder or memory that is not there
│   ├── UnknownFact             an id that the memory does not hold
│   └── UnknownVersion          a version, branch or tag that the memory does not have
├── InputError                  a file that cannot be taken as facts
│   ├── BadRows                 rows of it, each with its line and reason
│   └── ConflictError           the same question with different answers
├── BackboneError               a model that cannot be used
│   ├── BackboneDamaged         its files are missing or altered
│   ├── BackboneMismatch        the memory was made on another model
│   └── KindUnsupported         this kind of expert cannot live on this model
├── FolderError                 a memory folder that cannot be used
│   ├── FolderDamaged           a checksum or an invariant does not hold
│   ├── FolderTooNew            made by a later version of memtune
│   ├── FolderTooOld            made by an earlier version of memtune, in another format
│   ├── FolderLocked            another writer is at work
│   └── NoSpace                 the disk is full
└── ExtraMissing                an optional package is not installed
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class MemtuneError(Exception):
    """A fault that the user can read: one line, and a hint what to do about it."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(MemtuneError):
    """The caller asked for something that does not exist or makes no sense."""

    exit_code = 2


class UnknownSetting(UsageError):
    """A setting nobody knows; the near ones are named."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        known = sorted(known)
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        super().__init__(
            f"unknown setting '{name}'",
            hint=f"did you mean {' or '.join(near)}?" if near else f"known settings: {', '.join(known)}",
        )


class NotFound(UsageError):
    """A file, folder or memory that is not there."""


class UnknownFact(UsageError):
    """An id that the memory does not hold."""


class UnknownVersion(UsageError):
    """A version, branch or tag that the memory does not have; the near ones are named."""


class InputError(MemtuneError):
    """A file or a row that cannot be taken as facts."""


class BadRows(InputError):
    """Rows that are not facts. Nothing was learned from the file."""

    SHOWN = 5

    def __init__(self, source: str, problems: Sequence[str], *, hint: str | None = None) -> None:
        self.problems = list(problems)
        shown = "; ".join(self.problems[: self.SHOWN])
        more = len(self.problems) - self.SHOWN
        super().__init__(
            f"{source}: {len(self.problems)} bad row{'s' * (len(self.problems) != 1)}: {shown}"
            + (f"; and {more} more" if more > 0 else ""),
            hint=hint or "mend them, or pass --skip-bad to go on without them",
        )


class ConflictError(InputError):
    """The same question is given different answers."""


class BackboneError(MemtuneError):
    """A model that cannot be used."""


class BackboneDamaged(BackboneError):
    """The model's files are missing or altered."""


class BackboneMismatch(BackboneError):
    """The memory was made on another model."""


class KindUnsupported(BackboneError):
    """This kind of expert cannot live on this model."""


class FolderError(MemtuneError):
    """A memory folder that cannot be used."""


class FolderDamaged(FolderError):
    """A checksum or an invariant of the memory folder does not hold."""


class FolderTooNew(FolderError):
    """The memory was made by a later version of memtune."""


class FolderTooOld(FolderError):
    """The memory was made by an earlier version of memtune and has to be brought to the present format."""


class FolderLocked(FolderError):
    """Another writer is at work in the memory folder."""


class NoSpace(FolderError):
    """The disk is full; the memory stands at its last version."""


class ExtraMissing(MemtuneError):
    """An optional package is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"this needs the package '{package}', which is not installed",
            hint=f"pip install 'memtune[{extra}]'",
        )
