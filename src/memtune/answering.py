"""The life of a question: route, gather, generate, report. Reads a memory, never changes it."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from memtune.config import Config, DecodeConfig
from memtune.core.backbone import Backbone
from memtune.core.experts import Expert, Kind, pick
from memtune.core.generate import Decoder, Reply, Request, decode
from memtune.core.kinds import KINDS
from memtune.core.prompts import Message, Prompt
from memtune.core.reports import Answer, Used
from memtune.errors import UsageError
from memtune.router.route import Owner, Proposal, Route
from memtune.router.router import Router
from memtune.store import MemoryFolder

Question = str | Sequence[Message]
_GAP = re.compile(r"""["'](?P<name>[^"'\n]{2,40})["']\s*:\s*["']?\Z""")
_RESIDENT = 4096


@dataclass
class _Chosen:
    """What the router made of one question, and the facts that its reply comes to use."""

    route: Route
    used: list[Proposal] = field(default_factory=list)


class Answering:
    """Answers questions with a memory at the version it stands at, or with the plain backbone."""

    def __init__(self, backbone: Backbone, folder: MemoryFolder | None, router: Router, config: Config) -> None:
        self.backbone, self.folder, self.router, self.config = backbone, folder, router, config
        self.kinds: dict[str, Kind] = {name: kind(config) for name, kind in KINDS.items()}
        self._resident: OrderedDict[Owner, tuple[str, str | None, dict[str, Expert]]] = OrderedDict()

    # ---- phases -------------------------------------------------------------------------------------------------

    def ask(
        self, questions: Sequence[Question], decode_config: DecodeConfig, *, memory: bool, raw: bool
    ) -> list[Answer]:
        prompts = [self.prompt(q, raw=raw) for q in questions]
        chosen = [self._route(q) if memory else _Chosen(Route()) for q in questions]
        requests = [
            self._gather(p, c, q, decode_config, memory) for p, c, q in zip(prompts, chosen, questions, strict=True)
        ]
        live = [i for i, c in enumerate(chosen) if not self._abstains(c, decode_config, memory)]
        replies = dict(
            zip(
                live,
                decode(self.backbone, self._acting(memory), [requests[i] for i in live], decode_config),
                strict=True,
            )
        )
        return [self._report(prompts[i], chosen[i], replies.get(i), decode_config) for i in range(len(questions))]

    def stream(
        self, question: Question, decode_config: DecodeConfig, *, memory: bool, raw: bool
    ) -> Iterator[str | Answer]:
        """Pieces of the reply as they are said, and the whole answer at the end."""
        prompt, chosen = self.prompt(question, raw=raw), self._route(question) if memory else _Chosen(Route())
        if self._abstains(chosen, decode_config, memory):
            yield decode_config.abstention
            yield self._report(prompt, chosen, None, decode_config)
            return
        request = self._gather(prompt, chosen, question, decode_config, memory)
        decoder = Decoder(self.backbone, self._acting(memory), [request], decode_config)
        reply, shown = decoder.replies[0], ""
        for _ in decoder.run():
            said = _settled(reply.text if reply.finish else decoder.text(0), decode_config, final=bool(reply.finish))
            said = said.lstrip()
            if said.startswith(shown) and len(said) > len(shown):
                yield said[len(shown) :]
                shown = said
        yield self._report(prompt, chosen, reply, decode_config)

    def prompt(self, question: Question, *, raw: bool) -> Prompt:
        if raw:
            if not isinstance(question, str):
                raise UsageError("a raw prompt is one text, not a list of messages")
            return self.backbone.template.raw(question)
        messages = [{"role": "user", "content": question}] if isinstance(question, str) else question
        return self.backbone.template.render(messages)

    def route(self, question: Question) -> Route:
        return self.router.route(question if isinstance(question, str) else question[-1]["content"])

    def _route(self, question: Question) -> _Chosen:
        route = self.route(question)
        chosen = _Chosen(route)
        if self.folder is not None:
            chosen.used = [p for p in route.confirmed if self._can_serve(p)]
        return chosen

    def _can_serve(self, proposal: Proposal) -> bool:
        """A fact that may only be used, not recited, needs an expert that knows it."""
        return proposal.recite or any(not self.kinds[name].recites for name in self.experts(proposal.owner))

    def _gather(
        self, prompt: Prompt, chosen: _Chosen, question: Question, config: DecodeConfig, memory: bool
    ) -> Request:
        experts: dict[str, list[Expert]] = {}
        for proposal in chosen.used:
            for name, expert in self.experts(proposal.owner).items():
                if proposal.recite or not self.kinds[name].recites:
                    experts.setdefault(name, []).append(expert)
        if not memory or not config.reroute or self.folder is None:
            return Request(prompt, experts)
        text = question if isinstance(question, str) else question[-1]["content"]

        def find_gap(said: str) -> Mapping[str, Sequence[Expert]]:
            found = self._gap(text, said)
            reciters = self._reciters(found.owner) if found else {}
            if found and reciters:
                chosen.used.append(found)
            return reciters

        at_once = {} if experts else find_gap(prompt.tail)
        return Request(prompt, experts or at_once, find_gap, end=not at_once)

    def _reciters(self, owner: Owner) -> dict[str, list[Expert]]:
        """A fact's experts that can fill an open gap."""
        return {name: [expert] for name, expert in self.experts(owner).items() if self.kinds[name].recites}

    def _gap(self, text: str, tail: str) -> Proposal | None:
        """The fact that an open field at the end of `tail` asks for."""
        match = _GAP.search(tail)
        return self.router.route_gap(text, match.group("name")) if match else None

    def _acting(self, memory: bool) -> list[Kind]:
        return list(self.kinds.values()) if memory and self.folder is not None else []

    # ---- experts ------------------------------------------------------------------------------------------------

    def experts(self, owner: Owner) -> dict[str, Expert]:
        """A fact's experts by kind, read from its shards once."""
        return self._fact(owner)[2]

    def describe(self, owner: Owner) -> tuple[str, str | None]:
        """A fact's id and source."""
        return self._fact(owner)[:2]

    def _fact(self, owner: Owner) -> tuple[str, str | None, dict[str, Expert]]:
        if owner not in self._resident:
            assert self.folder is not None
            segment, row = owner
            fact = self.folder.at(segment, row)
            rooms = next(s for s in self.folder.segments if s.id == segment).shards
            experts = {
                name: Expert(fact.id, fact.answer, pick(self.folder.shard(segment, name), row))
                for name in self.kinds
                if name in rooms
            }
            self._resident[owner] = (fact.id, fact.source, experts)
            while len(self._resident) > _RESIDENT:
                self._resident.popitem(last=False)
        self._resident.move_to_end(owner)
        return self._resident[owner]

    def forget(self, owners: Sequence[Owner]) -> None:
        """Nothing of these facts stays in this process."""
        for owner in owners:
            self._resident.pop(owner, None)

    # ---- reporting ----------------------------------------------------------------------------------------------

    def _abstains(self, chosen: _Chosen, config: DecodeConfig, memory: bool) -> bool:
        return memory and config.unknown == "abstain" and not chosen.used

    def _report(self, prompt: Prompt, chosen: _Chosen, reply: Reply | None, config: DecodeConfig) -> Answer:
        version = self.folder.version if self.folder is not None else None
        if reply is None:
            return Answer(config.abstention, abstained=True, version=version, prompt_tokens=len(prompt.ids))
        best_first = sorted(chosen.used, key=lambda p: -p.score)
        used = {p.owner: Used(self.describe(p.owner)[0], p.score, self.describe(p.owner)[1]) for p in best_first}
        return Answer(
            text=reply.text.strip(),
            facts=tuple(used.values()),
            fired=bool(used),
            version=version,
            tokens=tuple(reply.tokens),
            prompt_tokens=len(prompt.ids),
            finish=reply.finish,
        )


def _settled(text: str, config: DecodeConfig, *, final: bool) -> str:
    """What of a text cannot change any more: not half a character, not what may become a stop string."""
    if final:
        return text.rstrip()
    held = max((n for stop in config.stop for n in range(1, len(stop) + 1) if text.endswith(stop[:n])), default=0)
    text = text[: len(text) - held].rstrip("\ufffd")
    return text.rstrip()


def explanation(route: Route, describe: Any) -> dict[str, Any]:
    """A route as JSON: what was asked, proposed and confirmed, and why."""

    def row(p: Proposal) -> dict[str, Any]:
        return {
            "id": describe(p.owner)[0],
            "score": round(p.score, 4),
            "confirmed": p.confirmed,
            "recite": p.recite,
            "asked": p.asked,
            "why": p.reason,
        }

    return {
        "asked": list(route.asked),
        "note": route.note,
        "proposals": [row(p) for p in route.proposals],
        "confirmed": [describe(p.owner)[0] for p in route.confirmed],
    }
