"""Invented database schemas with rows: one table, or a child table that refers to its parent."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from random import Random

from .names import Namer

TABLES = """accounts albums animals appointments artists assets athletes authors bookings books boats branches buildings
buses cameras cars chapters classes clients clinics clubs concerts contracts countries courses customers departments
devices doctors drivers employees events exhibits experiments farms films fields flights games gardens guests harbours
hotels invoices items journals lakes lessons libraries loans machines magazines managers matches meals members models
mountains museums nurses offices orders parcels parks parts patients payments pilots plants players policies printers
products projects recipes regions repairs reports restaurants rivers rooms routes sales samples schools sensors servers
services ships shops singers songs stations students suppliers surveys tasks teachers teams tickets tools tours trains
trees trips trucks users vehicles villages visits volunteers warehouses workers workshops""".split()

# Column name -> (SQL type, kind of value); the kinds are those of names.Namer.
TEXT_COLUMNS = {
    "name": "person", "title": "book", "city": "city", "country": "country", "company": "company", "owner": "person",
    "manager": "person", "product": "product", "brand": "company", "code": "code", "serial": "code", "email": "email",
    "phone": "phone", "supplier": "company", "address": "city", "contact": "person", "label": "book", "sponsor": "company",
}  # fmt: skip
GROUP_COLUMNS = {
    "colour": "colour", "material": "material", "job": "job", "language": "language", "status": "status", "day": "day",
    "industry": "industry", "genre": "genre", "subject": "subject", "hobby": "hobby", "category": "genre",
    "sector": "industry", "position": "job", "state": "status", "color": "colour", "department": "subject",
}  # fmt: skip
NUMBER_COLUMNS = """price salary age weight height length width year quantity amount rating score points distance
duration capacity budget cost pages stock speed area population revenue discount fee votes goals hours seats volume level
members floors income depth power units total_price unit_price birth_year start_year max_speed net_weight fuel_cost
monthly_rent ticket_price shelf_life""".split()
REAL_COLUMNS = frozenset("price rating cost fee total_price unit_price fuel_cost discount".split())


@dataclass(frozen=True)
class Column:
    name: str
    sql_type: str
    kind: str  # "id", "number", or a kind of value

    @property
    def words(self) -> str:
        return self.name.replace("_", " ")


@dataclass(frozen=True)
class Table:
    name: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str | int | float, ...], ...]
    parent: str = ""  # the table that the column `key` refers to
    key: str = ""

    @property
    def words(self) -> str:
        return self.name.replace("_", " ")

    @property
    def texts(self) -> list[Column]:
        return [c for c in self.columns if c.kind in TEXT_COLUMNS.values()]

    @property
    def groups(self) -> list[Column]:
        return [c for c in self.columns if c.kind in GROUP_COLUMNS.values()]

    @property
    def numbers(self) -> list[Column]:
        return [c for c in self.columns if c.kind == "number"]

    def values(self, column: Column) -> list[str | int | float]:
        index = self.columns.index(column)
        return [row[index] for row in self.rows]

    def create(self, multiline: bool) -> str:
        columns = [f"{c.name} {c.sql_type}" for c in self.columns]
        inside = ",\n  ".join(columns) if multiline else ", ".join(columns)
        return f"CREATE TABLE {self.name} (\n  {inside}\n);" if multiline else f"CREATE TABLE {self.name} ({inside});"


@dataclass(frozen=True)
class Schema:
    tables: tuple[Table, ...]
    connection: sqlite3.Connection = field(compare=False, repr=False)

    def text(self, multiline: bool) -> str:
        return "\n".join(table.create(multiline) for table in self.tables)

    def run(self, query: str) -> list[tuple[object, ...]] | None:
        """The rows of a query, or None where SQLite refuses it."""
        try:
            return self.connection.execute(query).fetchall()
        except (sqlite3.Error, sqlite3.Warning):
            return None


class SchemaMaker:
    def __init__(self, rng: Random, split: str) -> None:
        self.rng, self.namer = rng, Namer(rng, split)

    def schema(self, joined: bool) -> Schema:
        tables = self._pair() if joined else (self._table(self._table_name(), self.rng.randint(3, 6)),)
        connection = sqlite3.connect(":memory:")
        for table in tables:
            connection.execute(table.create(multiline=False))
            marks = ", ".join("?" * len(table.columns))
            connection.executemany(f"INSERT INTO {table.name} VALUES ({marks})", table.rows)
        return Schema(tables, connection)

    def _table_name(self) -> str:
        name = self.rng.choice(TABLES)
        return f"{self.namer.invented(2).lower()}_{name}" if self.namer.coin(0.15) else name

    def _pair(self) -> tuple[Table, Table]:
        first, second = self.rng.sample(TABLES, 2)
        parent = self._table(first, self.rng.randint(2, 3), with_id=True)
        key = Column(f"{first.removesuffix('s')}_id", "INTEGER", "id")
        child = self._table(second, self.rng.randint(2, 4), key=key, parent=parent)
        return parent, child

    def _table(
        self, name: str, width: int, with_id: bool = False, key: Column | None = None, parent: Table | None = None
    ) -> Table:
        columns = self._columns(width, with_id or self.namer.coin(0.5))
        if key is not None:
            columns.insert(self.rng.randint(1, len(columns)), key)
        height = self.rng.randint(5, 12)
        cells = [self._cells(column, height, len(parent.rows) if parent else 0) for column in columns]
        rows = tuple(zip(*cells, strict=True))
        return Table(name, tuple(columns), rows, parent.name if parent else "", key.name if key else "")

    def _columns(self, width: int, with_id: bool) -> list[Column]:
        """At least one text and one number, so that every table can be asked about."""
        rng = self.rng
        texts = [Column(n, "TEXT", TEXT_COLUMNS[n]) for n in rng.sample(list(TEXT_COLUMNS), 1 + (width > 3))]
        groups = [Column(n, "TEXT", GROUP_COLUMNS[n]) for n in rng.sample(list(GROUP_COLUMNS), 1)]
        numbers = [
            Column(n, "REAL" if n in REAL_COLUMNS else "INTEGER", "number")
            for n in rng.sample(NUMBER_COLUMNS, max(1, width - len(texts) - 1))
        ]
        columns = texts + (groups if width > 2 else []) + numbers
        columns = [self._renamed(c) if self.namer.coin(0.12) else c for c in columns]
        rng.shuffle(columns)
        return [Column("id", "INTEGER", "id"), *columns] if with_id else columns

    def _renamed(self, column: Column) -> Column:
        return Column(f"{self.namer.invented(1).lower()}_{column.name}", column.sql_type, column.kind)

    def _cells(self, column: Column, height: int, parents: int) -> list[str | int | float]:
        rng = self.rng
        if column.name == "id":
            return list(range(1, height + 1))
        if column.kind == "id":
            return [rng.randint(1, parents) for _ in range(height)]
        if column.kind == "number":
            top = rng.choice((50, 500, 5000))
            return [
                rng.randint(100, top * 100) / 100 if column.sql_type == "REAL" else rng.randint(1, top)
                for _ in range(height)
            ]
        drawn = [self.namer.draw(column.kind) for _ in range(height)]
        return [rng.choice(drawn[:4]) for _ in drawn] if column.kind in GROUP_COLUMNS.values() else drawn
