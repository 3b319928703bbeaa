"""What counts as right where the reply is not the stored string: one small judge for each way of replying."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from memtune.evaluate.cases import Case
from memtune.evaluate.scores import plain

_OBJECT = re.compile(r"\{[^{}]*\}")
_LETTER = re.compile(r"(?<![A-Za-z0-9])([A-D])(?![A-Za-z0-9])")


def right(case: Case, said: str) -> bool:
    """Whether a reply is right, by the judge that the case names; the reply is as it was decoded."""
    return JUDGES[str(case.extra.get("judge", "same"))](case, said)


def share(case: Case, said: str) -> float:
    """Of the values that a reply should hold, those that it holds."""
    values = case.extra["values"]
    return sum(holds(said, value) for value in values) / len(values)


def holds(said: str, value: str) -> bool:
    """Whether a text has this value as words of its own: 250 does not hold 25."""
    return re.search(rf"(?<!\w){re.escape(value)}(?!\w)", said, re.IGNORECASE) is not None


def _same(case: Case, said: str) -> bool:
    """The answer and nothing else, a closing full stop apart."""
    return any(plain(said) == plain(answer) for answer in case.answers)


def _first_word(case: Case, said: str) -> bool:
    """The reply opens with the right one of the options, whatever it goes on with."""
    opening = plain(said).split()[:1]
    return bool(opening) and any(opening[0] == plain(answer) for answer in case.answers)


def _letter(case: Case, said: str) -> bool:
    """The first letter that stands alone is the right one."""
    found = _LETTER.search(said)
    return found is not None and found.group(1) in case.answers


def _only(case: Case, said: str) -> bool:
    """The right option is named and no other."""
    named = [option for option in case.options if holds(said, option)]
    return len(named) == 1 and named[0] in case.answers


def _ends(case: Case, said: str) -> bool:
    """What is missing, alone or with the sentence around it: the value comes last."""
    return any(re.search(rf"(?<!\w){re.escape(answer)}\W*\Z", said, re.IGNORECASE) for answer in case.answers)


def _holds_one(case: Case, said: str) -> bool:
    """A sentence around the value is allowed, the value of another subject is not."""
    return any(holds(said, answer) for answer in case.answers) and not any(
        holds(said, other) for other in case.extra.get("unwanted", ())
    )


def _json(case: Case, said: str) -> bool:
    """One flat JSON object whose field holds the value."""
    for text in _OBJECT.findall(said):
        try:
            found = json.loads(text)
        except json.JSONDecodeError:
            continue
        return str(found.get(case.extra["key"])) == str(case.extra["value"])
    return False


def _all(case: Case, said: str) -> bool:
    return share(case, said) == 1.0


JUDGES: dict[str, Callable[[Case, str], bool]] = {
    "same": _same, "first word": _first_word, "letter": _letter, "only": _only, "ends": _ends,
    "holds": _holds_one, "json": _json, "all": _all,
}  # fmt: skip
