"""What a reply may say next so that it follows a schema, and what it must say: structure, facts, and the end.

The grammar is llguidance's. Here is what it leaves open: what stands between values is said in one way only, a field
that opens is filled with a fact if one belongs there, numbers and strings come to an end, and a reply that comes near
its last token is closed by the shortest way.

Shapes: V vocabulary.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from memtune.core.backbone import Backbone
from memtune.errors import UsageError
from memtune.structured.filling import spellings
from memtune.structured.scanner import Scanner
from memtune.structured.schema import Form, form_of
from memtune.structured.words import CLOSING, Mask, Words

if TYPE_CHECKING:
    import llguidance

_KEPT = 256
"""Schemas whose grammar is kept."""
_REHEARSED = 512
"""Tokens of the shortest reply to a schema that are tried when it is first seen."""
_LONGEST_NUMBER = 15
"""Characters; a fact may have more."""
_LONGEST_NAME = 64
"""Bytes of the name of a field, where the schema leaves it open."""
_RULES: dict[str, Any] = {
    "item_separator": ", ",
    "key_separator": ": ",
    "whitespace_flexible": False,
    "lenient": False,
    "coerce_one_of": False,
}


@dataclass(frozen=True)
class Filling:
    """A fact's answer that a field may be filled with."""

    answer: str
    taken: Callable[[str], None] = lambda name: None
    """Called with the field's name when it is."""


Finder = Callable[[str], Sequence[Filling]]
"""From the name of a field that opens to what may be said in it, best first."""


class Constraints:
    """Makes the constraints of one backbone's replies. Grammars are kept; may be used by several threads."""

    def __init__(self, backbone: Backbone) -> None:
        self.words = Words(backbone)
        self._kept: OrderedDict[str, tuple[Form, llguidance.LLMatcher]] = OrderedDict()
        self._lock = threading.Lock()

    @classmethod
    def of(cls, backbone: Backbone) -> Constraints:
        """The backbone's own, made once: its tokenizer is read through."""
        with _MAKING:
            if backbone.model not in _MADE:
                _MADE[backbone.model] = cls(backbone)
            return _MADE[backbone.model]

    def form(self, schema: Mapping[str, Any]) -> Form:
        """A schema that can be followed, or a UsageError that says why it cannot."""
        return self._find(schema)[0]

    def make(self, schema: Mapping[str, Any], *, most: int, find: Finder | None = None) -> FormConstraint:
        """The constraint of one reply of at most so many tokens; `find` tells what its fields are filled with."""
        form, start = self._find(schema)
        return FormConstraint(self.words, form, start.deep_copy(), most, find)

    def _find(self, schema: Mapping[str, Any]) -> tuple[Form, llguidance.LLMatcher]:
        form = form_of(schema)
        with self._lock:
            if form.text not in self._kept:
                self._kept[form.text] = (form, self._grammar(form))
                while len(self._kept) > _KEPT:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(form.text)
            return self._kept[form.text]

    def _grammar(self, form: Form) -> llguidance.LLMatcher:
        from llguidance import LLMatcher, LLParserLimits

        try:
            grammar = LLMatcher.grammar_from_json_schema(form.text, overrides=_RULES)  # type: ignore[arg-type]
            limits = LLParserLimits(verbose_errors=False)
            matcher = LLMatcher(self.words.tokenizer, grammar, log_level=0, limits=limits)
            why = matcher.get_error()
        except ValueError as fault:
            why = str(fault)
        if why:
            told = " ".join(why.split()).split(" <")[0].split(";")[0]
            raise UsageError(f"this schema cannot be followed: {told[:200]}")
        if self._rehearsed(form, matcher.deep_copy()):
            raise UsageError("this schema is too large to be followed", hint="fewer fields may be left out")
        return matcher

    def _rehearsed(self, form: Form, matcher: llguidance.LLMatcher) -> str:
        """What goes wrong on the shortest way through a schema: some are seen to be too large only there."""
        return FormConstraint(self.words, form, matcher, _REHEARSED, None).fault


class FormConstraint:
    """The form of one reply, followed token by token."""

    def __init__(self, words: Words, form: Form, matcher: llguidance.LLMatcher, most: int, find: Finder | None) -> None:
        self._words, self._form, self._matcher, self._find = words, form, matcher, find
        self._left = most
        """Tokens that may still be said."""
        self._place = Scanner()
        self._queue: deque[int] = deque()
        """Tokens that are said whatever the model would say."""
        self._looked = 0
        """The last value for which it was asked what it is filled with."""
        self._filled = 0
        """The last value that was filled."""
        self._string = (0, 0)
        """The number of the string that is being said, and the tokens that must be left when it ends."""
        self._next_look = most
        """At so many tokens left it is looked again whether the reply must be closed."""
        self._begun = False
        self._done = False

    @property
    def ended(self) -> bool:
        """Whether the form is complete and nothing may follow."""
        return self._done or (self._matcher.is_stopped() and not self._matcher.is_error())

    @property
    def fault(self) -> str:
        """Why the grammar gives up before the shortest end, if it does."""
        matcher = self._matcher.deep_copy()
        self._walk(matcher)
        return matcher.get_error()

    def allow(self, logits_V: Tensor) -> Tensor:
        """The logits, without what may not be said next."""
        if self.ended:
            return logits_V  # others are still decoding beside this reply; what it says is thrown away
        if not self._begun:
            self._begun = True
            self._look_ahead()
        allowed = torch.from_numpy(self._allowed(len(logits_V))).to(logits_V.device)
        return logits_V.masked_fill(~allowed, -torch.inf)

    def said(self, token: int) -> None:
        """What was said next."""
        if self.ended or self._matcher.is_error():
            return
        expected = self._queue.popleft() if self._queue else token
        if expected != token:
            self._queue.clear()
        self._left -= 1
        self._place.feed(self._words.said_by[token] if token not in self._words.ends else b"")
        self._matcher.consume_token(token)
        if not self._queue:
            self._look_ahead()

    def _allowed(self, size: int) -> Mask:
        allowed = np.zeros(size, dtype=bool)
        if self._queue:
            allowed[self._queue[0]] = True
        elif self._matcher.is_error():  # the grammar gave up: what follows is no JSON, and does not end as if it were
            allowed[:] = True
            allowed[self._words.ends] = False
        else:
            bits = self._words.allowed(self._matcher)[:size]
            allowed[: len(bits)] = self._narrowed(bits)
        return allowed

    def _narrowed(self, bits: Mask) -> Mask:
        """Of what the grammar allows, what keeps a number short enough to be read."""
        if self._place.state != "bare":
            return bits
        over = self._place.length >= _LONGEST_NUMBER or self._filled == self._place.values
        fewer: Mask = bits & (self._words.behind_number if over else ~self._words.with_exponent)[: len(bits)]
        return fewer if fewer.any() else bits

    # ---- what must be said --------------------------------------------------------------------------------------

    def _look_ahead(self) -> None:
        """What is said next whatever the model would say: a fact, the end, or what alone is possible."""
        if self.ended or self._matcher.is_error():
            return
        forced = self._matcher.compute_ff_bytes()
        fact = self._fact_within(forced)
        if fact is not None:
            self._queue.extend(fact)
            return
        if self._ends_here():
            self._done = True
        elif not self._close_if_near_the_end():
            # The space before a number stays open: in many vocabularies it is part of what follows.
            said = forced if self._place.after(forced).in_string else forced.rstrip(b" ")
            self._queue.extend((self._words.spelled(said, self._matcher) or ()) if said else self._string_end())

    def _ends_here(self) -> bool:
        """Whether the whole reply is a number that was said in full."""
        filled = self._place.state == "bare" and self._filled == self._place.values
        over = filled or self._place.length >= _LONGEST_NUMBER
        return self._place.state == "bare" and not self._place.depth and over and self._matcher.is_accepting()

    def _fact_within(self, forced: bytes) -> list[int] | None:
        """The tokens of a fact that fills a field which opens within these bytes, and of what stands before it."""
        place = self._place.copy()
        for at in range(len(forced) + 1):
            place.feed(forced[at - 1 : at] if at else b"")
            opens = place.field is not None and place.values > self._looked and forced[at : at + 1] not in (b" ", b'"')
            fact = self._fact_at(place, forced[:at]) if opens else None
            if fact is not None:
                return fact
        return None

    def _fact_at(self, place: Scanner, forced: bytes) -> list[int] | None:
        """The tokens of the fact that the field which opens here is filled with, and of what is said before it."""
        name = place.field
        if self._find is None or name is None:
            return None
        self._looked = place.values
        for filling in self._find(name):
            for text in spellings(filling.answer, self._form.kinds(name)):
                tokens = self._value(text.replace("\x7f", "\\u007f"), place, forced)
                if tokens is not None:
                    self._filled = place.values
                    filling.taken(name)
                    return tokens
        return None

    def _value(self, text: str, place: Scanner, forced: bytes) -> list[int] | None:
        """A value as it may be said here, whole, so that something else may follow."""
        quoted = text.startswith('"')
        if place.in_string and not quoted:
            return None
        tokens = self._words.spelled(forced + text.encode()[place.in_string :], self._matcher)
        if tokens is None:
            return None
        behind = self._matcher.deep_copy()
        behind.consume_tokens(tokens)
        if behind.is_error():
            return None
        if quoted or behind.is_stopped() or behind.is_accepting():
            return tokens
        bits = self._words.allowed(behind)
        return tokens if (bits & self._words.behind_number).any() else None

    # ---- the end ------------------------------------------------------------------------------------------------

    def _close_if_near_the_end(self) -> bool:
        """Close the reply if it would not be whole otherwise. How much that takes is looked at more and more often."""
        if self._left > self._next_look:
            return False
        closing = self._closing()
        if closing is None or len(closing) > self._left:
            self._next_look = -1  # it cannot be closed any more: it will be cut off, and say so
            return False
        spare = self._left - len(closing) - self._form.spare
        if spare > 0:
            self._next_look = self._left - max(1, spare // (self._form.spare + 1))
            return False
        self._queue.extend(closing)
        self._done = not closing
        self._next_look = -1
        return True

    def _closing(self) -> list[int] | None:
        """The tokens of a short way to the end; None where none is short enough."""
        return self._walk(self._matcher.deep_copy())

    def _walk(self, matcher: llguidance.LLMatcher) -> list[int] | None:
        place, way = self._place.copy(), list[int]()
        used: Counter[int] = Counter()
        while len(way) <= self._left:
            if matcher.is_stopped() or (matcher.is_accepting() and not place.in_string):
                whole = self._words.tokenizer.decode_bytes(way)
                return None if matcher.is_error() else self._words.spelled(whole, self._matcher) or way
            forced = matcher.compute_ff_bytes()
            tokens = self._words.spelled(forced, matcher) if forced else self._shortest(matcher, place, used)
            if not tokens or not matcher.consume_tokens(tokens):
                return None
            way += tokens
            used.update(tokens)
            place.feed(self._words.tokenizer.decode_bytes(tokens))
        return None

    def _shortest(self, matcher: llguidance.LLMatcher, place: Scanner, used: Counter[int]) -> list[int]:
        """A token that leads towards the end. Where none is known to, the one that was used least: no way is walked
        round in a circle."""
        bits = self._words.allowed(matcher)
        for char in '"' if place.in_string else CLOSING:
            token = self._words.single[char]
            if token is not None and bits[token]:
                return [token]
        order = self._words.shortest_first
        allowed: list[int] = order[bits[order]][:64].tolist()
        return [min(allowed, key=lambda token: used[token])] if allowed else []

    def _string_end(self) -> list[int]:
        """The quote that ends a string which takes the room of the fields behind it."""
        place, quote = self._place, self._words.single['"']
        if not place.in_string or place.escaping or quote is None:
            return []
        if place.state == "name":
            return [quote] if place.length >= _LONGEST_NAME and self._matcher.validate_tokens([quote]) else []
        if self._string[0] != place.values:
            self._string = (place.values, self._left_after_string())
        over = self._left <= self._string[1]
        return [quote] if over and self._matcher.validate_tokens([quote]) else []

    def _left_after_string(self) -> int:
        """How many tokens a string must leave: it shares them with the fields that are still to come."""
        closing = self._closing()
        if closing is None or len(closing) >= self._left:
            return -1
        others = self._words.tokenizer.decode_bytes(closing).count(b'": ') + self._place.in_array
        room = self._left - len(closing)
        return self._left - room // (1 + others) if others else -1


_MADE: WeakKeyDictionary[Any, Constraints] = WeakKeyDictionary()
"""By the model: two backbones may be one model behind two templates."""
_MAKING = threading.Lock()
