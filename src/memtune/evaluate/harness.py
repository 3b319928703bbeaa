"""A memory as a model of lm-evaluation-harness, by the name `memtune`: importing this file registers it.

    python -m memtune.evaluate.harness run --model memtune --model_args memory=./acme --tasks arc_easy
    python -m memtune.evaluate.harness run --model memtune --model_args memory=./acme,on=False --tasks arc_easy

Without a memory, or with `on=False`, it is the plain backbone. Where no fact is confirmed, memory on has the plain
model's likelihoods by construction; `fired` counts the requests on which one was.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch

from memtune.answering import Answering
from memtune.config import DEFAULT_MODEL
from memtune.errors import ExtraMissing, InputError, UsageError
from memtune.evaluate import likelihood
from memtune.evaluate.ability import Row, fires, likelihoods, opening
from memtune.model import MemoryModel

NAME = "memtune"
_NEW_TOKENS = 256
"""Where a task does not say how long a reply may be."""


class Harness:
    """What the harness calls. Its base class is put beside this one in `register`, where it is installed."""

    def __init__(
        self,
        memory: str | None = None,
        model: Any = DEFAULT_MODEL,
        on: bool = True,
        device: str | None = None,
        dtype: str | None = None,
        batch_size: int | str | None = None,
        max_batch_size: int | None = None,
        **unknown: Any,
    ) -> None:
        """`on`: whether the memory answers. Batches are made by memtune: `max_batch_size` is taken and not needed."""
        super().__init__()
        if unknown:
            raise UsageError(f"unknown model_args: {', '.join(unknown)}", hint="memory, model, on, device, dtype")
        self.llm = MemoryModel(model, memory, device=_at_hand(device), dtype=dtype)
        self.on = bool(on) and memory is not None
        self.fired = 0
        """Requests on which a fact was confirmed."""
        given = str(batch_size or "")
        self.batch = int(given) if given.isdigit() and int(given) > 1 else self.llm.config.decode.batch_size

    @property
    def _answering(self) -> Answering:
        """With the memory at its newest version, or the backbone alone."""
        llm = self.llm
        return llm.memory.serving() if self.on else Answering(llm.backbone, None, None, llm.config)

    # ---- likelihoods --------------------------------------------------------------------------------------------

    def loglikelihood(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """For each context and continuation: its log-likelihood, and whether greedy decoding would say it."""
        asked = [(str(r.args[0]), str(r.args[1])) for r in requests]
        rows = [self._row(context, continuation) for context, continuation in asked]
        found = likelihoods(self._answering.backbone, rows)
        fired = [i for i, (context, _) in enumerate(asked) if self._fires(context)]
        self.fired += len(fired)
        for i, changed in zip(fired, self._with_memory([asked[i] for i in fired]), strict=True):
            found[i] = changed
        return found

    def _row(self, context: str, continuation: str) -> Row:
        """As tokens; spaces at the end of a context belong to what follows, as the harness has it."""
        kept = context.rstrip()
        whole = self._ids(context + continuation)
        read = self._ids(kept)
        follow = whole[len(read) :] or self._ids(continuation)
        room = self._answering.backbone.context
        if len(follow) >= room:
            raise InputError(f"{continuation!r:.60} has {len(follow)} tokens, the model's context {room}")
        read = [*([] if read else [opening(self._answering.backbone)]), *read]
        return read[max(0, len(read) + len(follow) - room) :], follow

    def _with_memory(self, asked: Sequence[tuple[str, str]]) -> list[tuple[float, bool]]:
        """The slow way, experts at work."""
        if not asked:
            return []
        cut = [(context.rstrip(), (context + follow)[len(context.rstrip()) :].strip()) for context, follow in asked]
        scored = likelihood.scores(self._answering, [(read, [follow]) for read, follow in cut], memory=True, raw=True)
        longest = max(one.tokens for (one,) in scored)
        contexts = list(dict.fromkeys(read for read, _ in cut))
        replies = self.llm.ask(contexts, memory=True, raw=True, max_new_tokens=longest, batch_size=self.batch)
        said = {context: reply.text for context, reply in zip(contexts, replies, strict=True)}
        return [(one.total, said[read].startswith(follow)) for (one,), (read, follow) in zip(scored, cut, strict=True)]

    def _fires(self, context: str) -> bool:
        return self.on and bool(context.strip()) and fires(self._answering, context.rstrip(), raw=True)

    def loglikelihood_rolling(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[float]:
        """Of whole texts. Experts act on what follows a prompt, so that a text alone is as likely as without them."""
        return [self._rolling(str(request.args[0])) for request in requests]

    def _rolling(self, text: str) -> float:
        """Every token once, with as much before it as the windows leave."""
        backbone = self._answering.backbone
        ids, room = self._ids(text), backbone.context
        rows: list[Row] = [([opening(backbone)], ids[: room - 1])] if ids else []
        for start in range(room - 1, len(ids), room // 2):
            end = min(start + room // 2, len(ids))
            rows.append((ids[max(0, end - room) : start], ids[start:end]))
        return sum(total for total, _ in likelihoods(backbone, rows))

    def _ids(self, text: str) -> list[int]:
        return list(self._answering.backbone.tokenizer(text, add_special_tokens=False)["input_ids"])

    # ---- replies ------------------------------------------------------------------------------------------------

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        """Replies, decoded greedily unless the task samples; requests with the same settings side by side."""
        settings = [_settings(request.args[1]) for request in requests]
        found: dict[int, str] = {}
        for key in dict.fromkeys(str(s) for s in settings):
            places = [i for i, s in enumerate(settings) if str(s) == key]
            decode = {**settings[places[0]], "batch_size": self.batch}
            contexts = [self._shortened(str(requests[i].args[0]), decode["max_new_tokens"]) for i in places]
            answers = self.llm.ask(contexts, memory=self.on, raw=True, **decode)
            self.fired += sum(answer.fired for answer in answers)
            found |= {i: answer.text for i, answer in zip(places, answers, strict=True)}
        return [found[i] for i in range(len(requests))]

    def _shortened(self, context: str, new: int) -> str:
        """The end of a context that is too long, as the harness does it."""
        backbone = self._answering.backbone
        ids, room = self._ids(context), max(1, backbone.context - min(new, backbone.context // 2) - 1)
        return context if len(ids) <= room else str(backbone.tokenizer.decode(ids[-room:]))

    # ---- chat templates -----------------------------------------------------------------------------------------

    @property
    def tokenizer_name(self) -> str:
        return str(self.llm.backbone.name).replace("/", "__")

    def chat_template(self, chat_template: bool | str = False) -> str:
        return (self._answering.backbone.template.chat_template or "") if chat_template else ""

    def apply_chat_template(self, chat_history: Sequence[Mapping[str, str]], add_generation_prompt: bool = True) -> str:
        template = self._answering.backbone.template
        if template.chat_template is None:
            raise UsageError("this model has no chat template", hint="leave out --apply_chat_template")
        text: str = template.tokenizer.apply_chat_template(
            [dict(m) for m in chat_history],
            chat_template=template.chat_template,
            tokenize=False,
            add_generation_prompt=add_generation_prompt,
            continue_final_message=not add_generation_prompt,
        )
        return text


def _at_hand(device: str | None) -> str | None:
    """The harness names a graphics card even where there is none."""
    return None if device and device.startswith("cuda") and not torch.cuda.is_available() else device


def _settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """What a task asks of a reply, in memtune's words."""
    until = given.get("until") or ()
    stop = (until,) if isinstance(until, str) else tuple(until)
    samples = bool(given.get("do_sample", False)) or float(given.get("temperature") or 0) > 0
    return {
        "stop": tuple(text for text in stop if text),
        "max_new_tokens": int(given.get("max_gen_toks") or given.get("max_new_tokens") or _NEW_TOKENS),
        "temperature": float(given.get("temperature") or 1.0) if samples else 0.0,
        "top_p": float(given.get("top_p") or 1.0),
    }


def installed() -> bool:
    return importlib.util.find_spec("lm_eval") is not None


def register() -> type:
    """The class as lm-evaluation-harness knows it, by the name `memtune`."""
    if not installed():
        raise ExtraMissing("lm-eval", "harness")
    importlib.import_module("lm_eval.models")  # with one name known, the harness would not look for its own
    base = importlib.import_module("lm_eval.api.model").LM
    registry: Any = importlib.import_module("lm_eval.api.registry")
    made = type("Memtune", (Harness, base), {"__doc__": Harness.__doc__})
    decorate: Callable[[type], type] = registry.register_model(NAME)
    return decorate(made)


def main(arguments: Iterable[str] = ()) -> None:
    """The harness's own command line, with `--model memtune` known."""
    Memtune or register()
    importlib.import_module("lm_eval.__main__").cli_evaluate()


Memtune: type | None = register() if installed() else None

if __name__ == "__main__":
    main()
