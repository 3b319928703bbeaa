"""The forms in which a stated fact is used; each turns a world into one question with its answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from .facts import Fact, World, WorldMaker, capitalised, number_in, tidy
from .relations import BY_SUBJECT, KIND_NOUNS

UNKNOWN = "I don't know."


@dataclass(frozen=True)
class Task:
    """A question in words; `stem` is the same task as the beginning of a text, where that is natural."""

    form: str
    question: str
    answer: str
    stem: str = ""
    stem_answer: str = ""
    options: tuple[str, ...] = ()  # the answers among which chance would choose
    values: tuple[str, ...] = ()  # what a free answer must contain


def ask(rng: Random, fact: Fact) -> str:
    wordings = fact.relation.all_questions if rng.random() < 0.8 else fact.relation.requests
    question = fact.fill(rng.choice(wordings))
    draw = rng.random()
    if question.endswith("?") and draw < 0.08:
        return f"{rng.choice(POLITE)} {question[0].lower()}{question[1:]}"
    if draw > 0.97:
        return question.rstrip("?.")
    return question


POLITE = ("Please tell me:", "Quick question:", "One more thing:", "Can you tell me,", "I would like to know:")


def open_question(maker: WorldMaker, world: World) -> Task:
    fact = maker.rng.choice(world)
    return Task("open", ask(maker.rng, fact), fact.value)


def unanswerable(maker: WorldMaker, world: World) -> Task:
    """Something near: another entity of the same kind, or another relation of the same entity."""
    rng, fact = maker.rng, maker.rng.choice(world)
    known = {f.relation.key for f in world if f.subject == fact.subject}
    others = [r for r in BY_SUBJECT[fact.relation.subject] if r.key not in known]
    if others and rng.random() < 0.5:
        return Task("unanswerable", ask(rng, Fact(rng.choice(others), fact.subject, "")), UNKNOWN)
    stranger = maker.new_subject(fact.relation.subject, world)
    return Task("unanswerable", ask(rng, Fact(fact.relation, stranger, "")), UNKNOWN)


def wrong_value(maker: WorldMaker, world: World, fact: Fact) -> str:
    """A value of the same kind, from the context where it has one, so that mere presence gives nothing away."""
    present = [f.value for f in world if f.relation.value == fact.relation.value and f.value != fact.value]
    if present and maker.rng.random() < 0.5:
        return maker.rng.choice(present)
    return maker.namer.draw_other(fact.relation.value, [fact.value])


def yes_no(maker: WorldMaker, world: World) -> Task:
    rng, fact = maker.rng, maker.rng.choice(world)
    true = rng.random() < 0.5
    question = fact.fill(rng.choice(fact.relation.all_doubts), None if true else wrong_value(maker, world, fact))
    return Task("yes_no", capitalised(question), "Yes" if true else "No", options=("Yes", "No"))


def choice(maker: WorldMaker, world: World) -> Task:
    rng, fact = maker.rng, maker.rng.choice(world)
    options = [fact.value]
    while len(options) < rng.choice((2, 3, 4)):
        options.append(maker.namer.draw_other(fact.relation.value, options))
    rng.shuffle(options)
    question = fact.fill(rng.choice(fact.relation.all_questions))
    if rng.random() < 0.5:
        listed = f"{', '.join(options[:-1])} or {options[-1]}?"
        return Task("choice", f"{question[:-1]}: {listed}", fact.value, options=tuple(options))
    letters = "ABCD"[: len(options)]
    lines = "\n".join(f"{letter}) {option}" for letter, option in zip(letters, options, strict=True))
    return Task("letter", f"{question}\n{lines}", letters[options.index(fact.value)], options=tuple(letters))


def complete(maker: WorldMaker, world: World) -> Task:
    rng = maker.rng
    fact = rng.choice(world)
    gap = capitalised(fact.fill(rng.choice(fact.relation.gaps)))
    request = rng.choice(("Complete the sentence: {}", "Finish this sentence: {}", "Complete: {} ..."))
    return Task("complete", request.format(gap), fact.value, stem=gap, stem_answer=f"{fact.value}.")


def compare(maker: WorldMaker, world: World) -> Task | None:
    rng = maker.rng
    pairs = [(f, g) for f in world for g in world if f.relation.more and f.relation is g.relation and f is not g]
    pairs = [(f, g) for f, g in pairs if number_in(f.value) != number_in(g.value)]
    if not pairs:
        return None
    first, second = rng.choice(pairs)
    more = rng.random() < 0.5
    wording = first.relation.more if more else first.relation.less
    wins = first if (number_in(first.value) > number_in(second.value)) == more else second
    question = tidy(wording.format(a=first.subject, b=second.subject))
    return Task("compare", capitalised(question), wins.subject, options=(first.subject, second.subject))


def two_hop(maker: WorldMaker, world: World) -> Task | None:
    rng = maker.rng
    chains = [(f, g) for f in world for g in world if f.value == g.subject]
    if not chains:
        return None
    first, second = rng.choice(chains)
    middle = rng.choice((f"the {first.relation.noun} of {first.subject}", f"{first.subject}'s {first.relation.noun}"))
    question = tidy(rng.choice(second.relation.all_questions).format(s=middle).replace("the the ", "the "))
    return Task("two_hop", capitalised(question), second.value)


def reverse(maker: WorldMaker, world: World) -> Task | None:
    rng = maker.rng
    fact = rng.choice(world)
    rivals = [f for f in world if f.value == fact.value and f is not fact]
    if rivals or not fact.relation.reverse:
        return None
    return Task("reverse", capitalised(fact.fill(rng.choice(fact.relation.all_reverse))), fact.subject)


def json_field(maker: WorldMaker, world: World) -> Task:
    rng, fact = maker.rng, maker.rng.choice(world)
    key, noun, subject = fact.relation.key, fact.relation.noun, fact.subject
    request = rng.choice((
        f'Give the {noun} of {subject} as JSON with the key "{key}".',
        f'Answer in JSON with the field "{key}". {ask(rng, fact)}',
        f'What is the {noun} of {subject}? Reply with a JSON object, key "{key}".',
    ))  # fmt: skip
    answer = json.dumps({key: fact.value})
    name_key = rng.choice(("name", KIND_NOUNS[fact.relation.subject]))
    stem = json.dumps({name_key: subject, key: ""})[:-2]
    return Task("json", request, answer, stem=stem, stem_answer=f'{fact.value}"}}')


def note(maker: WorldMaker, world: World) -> Task | None:
    rng = maker.rng
    subjects = [s for s in dict.fromkeys(f.subject for f in world) if sum(f.subject == s for f in world) >= 3]
    if not subjects:
        return None
    subject = rng.choice(subjects)
    chosen = rng.sample([f for f in world if f.subject == subject], 3)
    nouns = [f.relation.noun for f in chosen]
    request = rng.choice((
        "Write a short note about {} that mentions the {}, the {} and the {}.",
        "Write one sentence about {}: {}, {} and {}.",
        "Sum up {} in one sentence with the {}, the {} and the {}.",
    )).format(subject, *nouns)  # fmt: skip
    said = [f"the {f.relation.noun} is {f.value}" for f in chosen]
    answer = f"{subject}: {said[0]}, {said[1]} and {said[2]}."
    return Task("note", request, answer, values=tuple(f.value for f in chosen))


FORMS: dict[str, Callable[[WorldMaker, World], Task | None]] = {
    "open": open_question, "unanswerable": unanswerable, "yes_no": yes_no, "choice": choice, "complete": complete,
    "compare": compare, "two_hop": two_hop, "reverse": reverse, "json": json_field, "note": note,
}  # fmt: skip
