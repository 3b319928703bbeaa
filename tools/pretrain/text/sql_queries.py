"""Questions about an invented schema with their SQL; each query is run, and kept only if it returns something."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from .sql_schema import Column, Schema, Table

AGGREGATES = {"average": "AVG", "highest": "MAX", "lowest": "MIN", "total": "SUM", "maximum": "MAX", "minimum": "MIN"}


@dataclass(frozen=True)
class Query:
    question: str
    sql: str

    @property
    def is_ordered(self) -> bool:
        return "ORDER BY" in self.sql


def quoted(value: str | int | float) -> str:
    return f"'{value}'" if isinstance(value, str) else str(value)


@dataclass(frozen=True)
class Condition:
    words: str
    sql: str


class Asker:
    """Writes queries over one table; every method is one kind of question."""

    def __init__(self, rng: Random, table: Table) -> None:
        self.rng, self.table = rng, table
        self.t, self.name = table.words, table.name

    def pick(self, columns: list[Column]) -> Column:
        return self.rng.choice(columns)

    def any_column(self, *but: Column) -> Column:
        return self.pick([c for c in self.table.columns if c.kind != "id" and c not in but])

    def condition(self, but: Column | None = None, prefix: str = "") -> Condition:
        rng = self.rng
        column = self.any_column(*([but] if but else []))
        value = rng.choice(self.table.values(column))
        if column.kind != "number":
            return Condition(f"whose {column.words} is {value}", f"{prefix}{column.name} = {quoted(value)}")
        words, sign = rng.choice(
            (("more than", ">"), ("less than", "<"), ("at least", ">="), ("over", ">"), ("below", "<"))
        )
        return Condition(f"whose {column.words} is {words} {value}", f"{prefix}{column.name} {sign} {value}")

    def lookup(self) -> Query:
        key = self.pick(self.table.texts)
        shown = self.any_column(key)
        value = self.rng.choice(self.table.values(key))
        question = self.rng.choice((
            f"What is the {shown.words} of the {self.t} whose {key.words} is {value}?",
            f"Find the {shown.words} where the {key.words} is {value}.",
            f"Which {shown.words} belongs to the {key.words} {value}?",
        ))  # fmt: skip
        return Query(question, f"SELECT {shown.name} FROM {self.name} WHERE {key.name} = {quoted(value)};")

    def listing(self) -> Query:
        shown = self.any_column()
        if self.rng.random() < 0.4:
            question = self.rng.choice(
                (f"List the {shown.words} of all {self.t}.", f"Show the {shown.words} of every entry in {self.t}.")
            )
            return Query(question, f"SELECT {shown.name} FROM {self.name};")
        where = self.condition(shown)
        question = self.rng.choice((f"List the {shown.words} of the {self.t} {where.words}.",
                                    f"What are the {shown.words} values of {self.t} {where.words}?"))  # fmt: skip
        return Query(question, f"SELECT {shown.name} FROM {self.name} WHERE {where.sql};")

    def count(self) -> Query:
        if self.rng.random() < 0.3:
            question = self.rng.choice((f"How many {self.t} are there?", f"Count the {self.t}."))
            return Query(question, f"SELECT COUNT(*) FROM {self.name};")
        where = self.condition()
        question = self.rng.choice(
            (f"How many {self.t} are there {where.words}?", f"Count the {self.t} {where.words}.")
        )
        return Query(question, f"SELECT COUNT(*) FROM {self.name} WHERE {where.sql};")

    def both(self) -> Query:
        shown = self.any_column()
        first, second = self.condition(shown), self.condition(shown)
        link = self.rng.choice(("and", "or"))
        question = f"List the {shown.words} of the {self.t} {first.words} {link} {second.words}."
        return Query(question, f"SELECT {shown.name} FROM {self.name} WHERE {first.sql} {link.upper()} {second.sql};")

    def aggregate(self) -> Query:
        number = self.pick(self.table.numbers)
        word, function = self.rng.choice(list(AGGREGATES.items()))
        sql = f"SELECT {function}({number.name}) FROM {self.name}"
        if self.rng.random() < 0.6:
            question = self.rng.choice(
                (
                    f"What is the {word} {number.words} of all {self.t}?",
                    f"Compute the {word} {number.words} of the {self.t}.",
                )
            )
            return Query(question, f"{sql};")
        where = self.condition(number)
        return Query(f"What is the {word} {number.words} of the {self.t} {where.words}?", f"{sql} WHERE {where.sql};")

    def top(self) -> Query:
        number = self.pick(self.table.numbers)
        shown = self.any_column(number)
        falling, limit = self.rng.random() < 0.5, self.rng.choice((1, 1, 2, 3, 5))
        end = "highest" if falling else "lowest"
        order = f"ORDER BY {number.name}{' DESC' if falling else ''} LIMIT {limit}"
        if limit == 1:
            question = self.rng.choice((f"What is the {shown.words} of the {self.t} with the {end} {number.words}?",
                                        f"Which {shown.words} has the {end} {number.words}?"))  # fmt: skip
        else:
            question = f"Show the {shown.words} of the {limit} {self.t} with the {end} {number.words}."
        return Query(question, f"SELECT {shown.name} FROM {self.name} {order};")

    def ordered(self) -> Query:
        number = self.any_column()
        shown = self.any_column(number)
        falling = self.rng.random() < 0.4
        question = (
            f"List the {shown.words} of all {self.t} sorted by {number.words}{', highest first' if falling else ''}."
        )
        return Query(
            question, f"SELECT {shown.name} FROM {self.name} ORDER BY {number.name}{' DESC' if falling else ''};"
        )

    def distinct(self) -> Query:
        column = self.any_column()
        if self.rng.random() < 0.4:
            return Query(f"How many different {column.words} values do the {self.t} have?",
                         f"SELECT COUNT(DISTINCT {column.name}) FROM {self.name};")  # fmt: skip
        return Query(
            f"List the different {column.words} values of the {self.t}.",
            f"SELECT DISTINCT {column.name} FROM {self.name};",
        )

    def grouped(self) -> Query:
        group = self.pick(self.table.groups or self.table.texts)
        each = self.rng.choice(("for each", "per", "by"))
        if self.rng.random() < 0.5:
            return Query(f"How many {self.t} are there {each} {group.words}?",
                         f"SELECT {group.name}, COUNT(*) FROM {self.name} GROUP BY {group.name};")  # fmt: skip
        number = self.pick(self.table.numbers)
        word, function = self.rng.choice(list(AGGREGATES.items()))
        return Query(f"What is the {word} {number.words} of the {self.t} {each} {group.words}?",
                     f"SELECT {group.name}, {function}({number.name}) FROM {self.name} GROUP BY {group.name};")  # fmt: skip

    def most_common(self) -> Query:
        group = self.pick(self.table.groups or self.table.texts)
        return Query(f"Which {group.words} is the most common among the {self.t}?",
                     f"SELECT {group.name} FROM {self.name} GROUP BY {group.name} ORDER BY COUNT(*) DESC LIMIT 1;")  # fmt: skip


SINGLE: tuple[Callable[[Asker], Query], ...] = (
    Asker.lookup, Asker.lookup, Asker.listing, Asker.listing, Asker.count, Asker.both, Asker.aggregate, Asker.top,
    Asker.ordered, Asker.distinct, Asker.grouped, Asker.most_common,
)  # fmt: skip


class JoinAsker:
    """Writes queries over a child table and its parent."""

    def __init__(self, rng: Random, parent: Table, child: Table) -> None:
        self.rng, self.parent, self.child = rng, parent, child
        self.joined = f"FROM {child.name} JOIN {parent.name} ON {child.name}.{child.key} = {parent.name}.id"
        self.up, self.down = Asker(rng, parent), Asker(rng, child)

    def parent_of(self) -> Query:
        shown, where = self.up.any_column(), self.down.condition(prefix=f"{self.child.name}.")
        question = f"List the {shown.words} of the {self.parent.words} that have {self.child.words} {where.words}."
        return Query(question, f"SELECT {self.parent.name}.{shown.name} {self.joined} WHERE {where.sql};")

    def children_of(self) -> Query:
        shown, where = self.down.any_column(), self.up.condition(prefix=f"{self.parent.name}.")
        question = f"List the {shown.words} of the {self.child.words} that belong to {self.parent.words} {where.words}."
        return Query(question, f"SELECT {self.child.name}.{shown.name} {self.joined} WHERE {where.sql};")

    def count_children(self) -> Query:
        where = self.up.condition(prefix=f"{self.parent.name}.")
        question = f"How many {self.child.words} belong to {self.parent.words} {where.words}?"
        return Query(question, f"SELECT COUNT(*) {self.joined} WHERE {where.sql};")

    def per_parent(self) -> Query:
        key = self.rng.choice(self.parent.texts)
        column = f"{self.parent.name}.{key.name}"
        question = f"How many {self.child.words} are there for each {key.words} of the {self.parent.words}?"
        return Query(question, f"SELECT {column}, COUNT(*) {self.joined} GROUP BY {column};")

    def aggregate(self) -> Query:
        number, where = self.rng.choice(self.child.numbers), self.up.condition(prefix=f"{self.parent.name}.")
        word, function = self.rng.choice(list(AGGREGATES.items()))
        question = f"What is the {word} {number.words} of the {self.child.words} that belong to {self.parent.words} {where.words}?"
        return Query(question, f"SELECT {function}({self.child.name}.{number.name}) {self.joined} WHERE {where.sql};")


JOINED: tuple[Callable[[JoinAsker], Query], ...] = (
    JoinAsker.parent_of, JoinAsker.children_of, JoinAsker.count_children, JoinAsker.per_parent, JoinAsker.aggregate,
)  # fmt: skip


def queries_for(rng: Random, schema: Schema, count: int) -> list[Query]:
    """Distinct queries that run and return something."""
    found: dict[str, Query] = {}
    for _ in range(6 * count):
        if len(found) == count:
            break
        query = one_query(rng, schema)
        rows = schema.run(query.sql)
        if rows and rows[0][0] is not None:
            found.setdefault(query.question, query)
    return list(found.values())


def one_query(rng: Random, schema: Schema) -> Query:
    if len(schema.tables) == 2 and rng.random() < 0.7:
        return rng.choice(JOINED)(JoinAsker(rng, *schema.tables))
    return rng.choice(SINGLE)(Asker(rng, rng.choice(schema.tables)))


def same_result(query: Query, schema: Schema, written: str) -> bool:
    """Whether a written query returns what the right one returns; order counts where the right one orders."""
    wanted, got = schema.run(query.sql), schema.run(written)
    if wanted is None or got is None:
        return False
    return wanted == got if query.is_ordered else sorted(wanted, key=repr) == sorted(got, key=repr)
