"""Text-to-SQL as pages: the schema, questions, and the queries that answer them."""

from __future__ import annotations

from random import Random

from .document import ASSISTANT, END, SYSTEM, USER, Document
from .layouts import Page
from .sql_queries import Query, queries_for
from .sql_schema import Schema, SchemaMaker

SYSTEMS = (
    "You write SQLite queries.", "Answer with one SQL query.", "You translate questions into SQL.",
    "You are a SQL expert. Write one query for SQLite.",
)  # fmt: skip


def sql_page(rng: Random, schema: Schema, queries: list[Query], is_chat: bool) -> Document:
    ddl, page = schema.text(multiline=rng.random() < 0.4), Page()
    if not is_chat:
        label = rng.choice(("SQL", "Query", "Answer"))
        page.told(f"{ddl}\n\n")
        for query in queries:
            page.told(f"Question: {query.question}\n{label}:").known(f" {query.sql}{END}")
        return page.document
    first, *rest = queries
    opening = rng.choice((
        f"{SYSTEM}{rng.choice(SYSTEMS)}\n{ddl}{USER}{first.question}",
        f"{SYSTEM}{rng.choice(SYSTEMS)}{USER}{ddl}\n\n{first.question}",
        f"{USER}Schema:\n{ddl}\n\nWrite a SQL query: {first.question}",
        f"{USER}{ddl}\n\nWrite a SQL query that answers the question: {first.question}",
    ))  # fmt: skip
    page.told(f"{opening}{ASSISTANT}").known(f" {first.sql}{END}")
    for query in rest:
        page.told(f"{USER}{query.question}{ASSISTANT}").known(f" {query.sql}{END}")
    return page.document


def drawn_schema(maker: SchemaMaker, joined_share: float, questions: int) -> tuple[Schema, list[Query]]:
    """A schema with the number of questions wanted, or fewer where its rows allow no more."""
    while True:
        schema = maker.schema(joined=maker.rng.random() < joined_share)
        if queries := queries_for(maker.rng, schema, questions):
            return schema, queries
        schema.connection.close()
