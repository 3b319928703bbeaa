"""Why a fact was confirmed or not, in words for people."""

from __future__ import annotations

from memtune.router.doubts import CHOICE, LESS, MORE
from memtune.router.features import OWN
from memtune.router.matcher import Judged

_DOUBTED = {
    LESS: "the question leaves out what the wording asks for",
    MORE: "asks for something that belongs to it",
    CHOICE: "asks which of several things it is",
}


def reason_for(judged: Judged) -> str:
    """What its wording and the question have in common, and what stands on one side only."""
    if judged.digits:
        return "a number or id stands on one side only"
    if judged.way == "same":
        return "asked as wordings of other facts teach"
    if judged.way == "other":
        return "asks something else, as other facts about one thing teach"
    if judged.way == "name":
        return "names another of the same name"
    if judged.way in _DOUBTED:
        return _DOUBTED[judged.way]
    value = dict(zip(OWN, judged.features[: len(OWN)].tolist(), strict=True))
    met = f"meets {value['met_key']:.0%} of the fact's words, {value['met_query']:.0%} of what is asked"
    if value["names_missing_in_query"] > 0.3:
        return f"{met}; a name is missing in the question"
    if value["names_missing_in_key"] > 0.3:
        return f"{met}; the question names something else"
    if value["foreign_words"] > 0.3:
        return f"{met}; the rest is asked of other facts"
    return met
