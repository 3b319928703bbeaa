"""`memtune certify` and `memtune purge`: forgetting that can be shown."""

from __future__ import annotations

from typing import Annotated

import typer

from memtune.cli.faults import FAULT
from memtune.cli.options import Author, Json, Place, setting
from memtune.cli.output import counted, print_json, print_lines, remark
from memtune.config import DecodeConfig
from memtune.errors import UsageError


def certify(
    fact_id: Annotated[str | None, typer.Argument(metavar="ID", help="The id of a fact that was forgotten.")] = None,
    *,
    prompt: Annotated[
        str | None, typer.Option("--prompt", metavar="TEXT", help="Ask this instead of the fact's own wordings.")
    ] = None,
    max_new_tokens: Annotated[
        int | None, setting(DecodeConfig, "max_new_tokens", "Tokens of each reply that are compared at most.")
    ] = None,
    as_json: Json = False,
    place: Place,
) -> None:
    """Show that a fact is forgotten: where it was asked for, the logits are the plain model's, bit for bit."""
    if fact_id is None and prompt is None:
        raise UsageError("certify what?", hint="name a fact's id, or pass --prompt TEXT")
    given = {} if max_new_tokens is None else {"max_new_tokens": max_new_tokens}
    with place.load() as model:
        found = model.certify(fact_id, prompt=prompt, **given)
    if as_json:
        print_json(found.to_json())
    else:
        print_lines(found.lines())
    if not found.certified:
        raise typer.Exit(FAULT)


def purge(
    fact_ids: Annotated[list[str], typer.Argument(metavar="ID...", help="The ids of the facts.")],
    *,
    as_json: Json = False,
    author: Author = None,
    place: Place,
) -> None:
    """Take facts out of every version, for good. The audit log keeps their ids and that it was done."""
    with place.load(author) as model:
        done = model.purge(*fact_ids)
    if as_json:
        print_json(done.to_json())
    else:
        print(f"purged: {', '.join(done.ids)}; {counted(done.rows, 'row')} of history rewritten")
        for number in done.noted:
            remark(f"a note on v{number} tells of it, and the audit log cannot be changed")
