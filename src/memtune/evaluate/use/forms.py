"""The forms in which a fact is used rather than recited: each turns a world into cases.

Every form asks once about every subject. The kinds of subjects and their relations take turns, so that all forms ask
for all of them.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator

from memtune.evaluate.cases import Case
from memtune.evaluate.use.world import Known, Thing, World

LIKELIEST = "choice by likelihood"
"""The one form that is not decoded: the likeliest of the options is what was said."""
_LETTERS = "ABCD"

BY_LETTER = "{question} Choose a letter.\n{options}"
COMPLETE = "How does this sentence end? {gap}"
AS_JSON = '{question} Reply as JSON, key "{key}".'
NOTE = "Write a brief notice about {s} that names the {a}, the {b} and the {c}."
LINES = "Take these one by one, a line for each:\n{questions}"


def _turn(thing: Thing, number: int) -> Known:
    """The relations of a kind take turns, the kinds having taken theirs."""
    return thing.known[number // 3 % len(thing.known)]


_EXTRA = ("judge", "key", "value", "values", "unwanted", "needed")


def _case(form: str, number: int, question: str, *known: Known, **given: object) -> Case:
    facts = tuple(k.id for k in known)
    extra = {name: given.pop(name) for name in _EXTRA if name in given}
    return Case(f"{form} {number}", question, form=form, role="wording", facts=facts, extra=extra, **given)  # type: ignore[arg-type]


def one_each(world: World) -> list[Known]:
    """One fact of each subject, as forms that need one fact choose it."""
    return [_turn(thing, number) for number, thing in enumerate(world.things)]


def yes_no(world: World, draw: random.Random) -> Iterator[Case]:
    """As many true as false; a false one names the value of another subject."""
    truths = [i % 2 == 0 for i in range(len(world.things))]
    draw.shuffle(truths)
    for i, (thing, true) in enumerate(zip(world.things, truths, strict=True)):
        known = _turn(thing, i)
        doubt = known.put(known.relation.doubt, None if true else world.wrong(known, 1, draw)[0])
        answer = "Yes" if true else "No"
        yield _case("yes or no", i, doubt, known, answers=(answer,), options=("Yes", "No"),
                    judge="first word")  # fmt: skip


def by_likelihood(world: World, draw: random.Random) -> Iterator[Case]:
    for i, thing in enumerate(world.things):
        known = _turn(thing, i)
        options = [known.value, *world.wrong(known, 3, draw)]
        draw.shuffle(options)
        asked = known.put(known.relation.asked)
        yield _case(LIKELIEST, i, asked, known, answers=(known.value,), options=tuple(options))


def by_letter(world: World, draw: random.Random) -> Iterator[Case]:
    for i, thing in enumerate(world.things):
        known = _turn(thing, i)
        options = world.wrong(known, 3, draw)
        place = i % len(_LETTERS)  # every letter is right equally often
        options.insert(place, known.value)
        listed = "\n".join(f"({letter}) {option}" for letter, option in zip(_LETTERS, options, strict=True))
        question = BY_LETTER.format(question=known.put(known.relation.asked), options=listed)
        yield _case("choice by letter", i, question, known, answers=(_LETTERS[place],), options=tuple(_LETTERS),
                    judge="letter")  # fmt: skip


def complete(world: World, draw: random.Random) -> Iterator[Case]:
    for i, thing in enumerate(world.things):
        known = _turn(thing, i)
        question = COMPLETE.format(gap=known.put(known.relation.gap))
        yield _case("sentence to complete", i, question, known, answers=(known.value,), judge="ends")


def compare(world: World, draw: random.Random) -> Iterator[Case]:
    """Each subject beside the next of its kind; which of the two is named first is drawn."""
    apart = 3
    for i, thing in enumerate(world.things):
        other = world.things[(i + apart) % len(world.things)]
        if other.kind is not thing.kind:
            other = next(t for t in world.things if t.kind is thing.kind and t is not thing)
        pair = [thing, other]
        draw.shuffle(pair)
        first = min(pair, key=lambda t: int(t.known[1].value))
        question = thing.kind.compare.format(a=pair[0].name, b=pair[1].name)
        yield _case("comparison", i, question, *(t.known[1] for t in pair), answers=(first.name,),
                    options=tuple(t.name for t in pair), judge="only")  # fmt: skip


def two_hop(world: World, draw: random.Random) -> Iterator[Case]:
    """Reciting both facts one after the other is not going from one to the other: the person must not be named."""
    for i, thing in enumerate(world.things):
        question = thing.kind.two_hop.format(s=thing.name)
        yield _case("two hops", i, question, thing.known[0], thing.home, answers=(thing.home.value,), judge="holds",
                    unwanted=[thing.known[0].value])  # fmt: skip


def reverse(world: World, draw: random.Random) -> Iterator[Case]:
    for i, thing in enumerate(world.things):
        known = thing.known[0]
        question = thing.kind.reverse.format(v=known.value)
        yield _case("reversed", i, question, known, answers=(thing.name,), judge="holds")


def json_field(world: World, draw: random.Random) -> Iterator[Case]:
    for i, thing in enumerate(world.things):
        known = _turn(thing, i)
        key = known.relation.key
        question = AS_JSON.format(question=known.put(known.relation.asked), key=key)
        yield _case("JSON field", i, question, known, answers=(json.dumps({key: known.value}),), judge="json", key=key,
                    value=known.value)  # fmt: skip


def note(world: World, draw: random.Random) -> Iterator[Case]:
    for i, thing in enumerate(world.things):
        chosen = draw.sample(thing.known, 3)
        a, b, c = (k.relation.noun for k in chosen)
        values = [k.value for k in chosen]
        said = ", ".join(f"{k.relation.noun} is {k.value}" for k in chosen)
        question = NOTE.format(s=thing.name, a=a, b=b, c=c)
        yield _case("note with three facts", i, question, *chosen, answers=(f"{thing.name}: {said}.",), judge="all",
                    values=values)  # fmt: skip


def several(count: int) -> Callable[[World, random.Random], Iterator[Case]]:
    """An answer that needs so many facts, each of another subject."""

    def make(world: World, draw: random.Random) -> Iterator[Case]:
        things = world.things
        for i in range(len(things)):
            chosen = [_turn(things[(i + n) % len(things)], i + n) for n in range(min(count, len(things)))]
            asked = [k.put(k.relation.asked) for k in chosen]
            question = LINES.format(questions="\n".join(asked)) if count > 1 else asked[0]
            values = [k.value for k in chosen]
            yield _case(f"{count} fact{'s' * (count > 1)} an answer", i, question, *chosen, judge="all",
                        answers=("\n".join(values),), values=values)  # fmt: skip

    return make


def one_of(count: int) -> Callable[[World, random.Random], Iterator[Case]]:
    """So many facts side by side, one of them asked for in its learned wording: do the others disturb it?

    Beside it stands what else is known of its subject, then what is known of other subjects in other relations.
    """

    def make(world: World, draw: random.Random) -> Iterator[Case]:
        for i, thing in enumerate(world.things):
            known = _turn(thing, i)
            place = thing.known.index(known)
            own = [k for k in (*thing.known, thing.home) if k is not known]
            others = [k for other in world.things if other is not thing for k in other.known[:place]]
            others += [k for other in world.things if other is not thing for k in other.known[place + 1 :]]
            beside = [known, *draw.sample(own, len(own)), *draw.sample(others, len(others))][:count]
            draw.shuffle(beside)
            yield _case(f"one of {count} facts", i, known.fact.question, *beside, answers=(known.value,),
                        judge="holds", needed=(known.id,), options=tuple(k.value for k in beside),
                        unwanted=[k.value for k in beside if k is not known])  # fmt: skip

    return make


def needed(case: Case) -> tuple[str, ...]:
    """The facts without which a case cannot be answered."""
    return tuple(case.extra.get("needed", case.facts))


Form = Callable[[World, random.Random], Iterator[Case]]
FORMS: tuple[Form, ...] = (
    yes_no, by_likelihood, by_letter, complete, compare, two_hop, reverse, json_field, note
)  # fmt: skip
NEEDED = (1, 3, 10)
BESIDE = (3, 10)


def cases(world: World, seed: int) -> list[Case]:
    """Every form on every subject, then one fact asked for among several, and answers that need one, three and ten."""
    makers = [*FORMS, *(one_of(count) for count in BESIDE), *(several(count) for count in NEEDED)]
    return [case for i, form in enumerate(makers) for case in form(world, random.Random(f"form {i} {seed}"))]


def chance(case: Case) -> float:
    """How often a guess among the options is right; nobody guesses an open answer."""
    return 1 / len(case.options) if case.options else 0.0
