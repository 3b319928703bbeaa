"""Showing that a fact is forgotten: at its wordings the model with the memory is the plain model, bit for bit."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from memtune.checked import replace
from memtune.config import DecodeConfig
from memtune.store import MemoryFolder, sidecar
from memtune.store.purge import Held, held_anywhere, versions

if TYPE_CHECKING:
    from memtune.memory import Memory


@dataclass(frozen=True)
class Shown:
    """One prompt, decoded greedily with the memory and without it."""

    prompt: str
    first: str
    """SHA-256 of the logits of the first step, with the memory."""
    whole: str
    """The same along the whole reply."""
    plain_first: str
    plain_whole: str
    tokens: int
    reply: str
    used: tuple[str, ...] = ()
    """Facts that acted, and skills, as "skill NAME"."""

    @property
    def same(self) -> bool:
        return not self.used and (self.first, self.whole) == (self.plain_first, self.plain_whole)


@dataclass
class Certificate:
    """What was looked at, what was found, and what stands against it."""

    id: str | None
    memory: str
    version: int
    manifest: str
    backbone: str
    weights: str
    computed: str
    """Where: device, precision and threads; other ones give other logits, with the memory and without it."""
    shown: list[Shown] = field(default_factory=list)
    held_by: list[int] = field(default_factory=list)
    """Versions that still hold the fact, oldest first."""
    fitted: list[str] = field(default_factory=list)
    """Statistics that may have been fitted while the fact was there."""
    against: list[str] = field(default_factory=list)
    """Why it cannot be certified."""

    @property
    def certified(self) -> bool:
        return bool(self.shown) and not self.against

    def to_json(self) -> dict[str, Any]:
        shown = [{**asdict(one), "same": one.same} for one in self.shown]
        return {"certified": self.certified, **asdict(self), "shown": shown}

    def lines(self) -> list[str]:
        """For people."""
        about = f"fact '{self.id}'" if self.id else "the prompt"
        verdict = "the plain model answers, bit for bit" if self.certified else "NOT certified"
        lines = [
            f"{about}: {verdict}",
            f"memory {self.memory}, version {self.version}, manifest {self.manifest[:16]}",
            f"model {self.backbone}, weights {self.weights[:16]}; {self.computed}",
        ]
        for one in self.shown:
            says = "memory on is memory off" if one.same else "memory on DIFFERS from memory off"
            lines += [
                f"prompt: {' '.join(one.prompt.split())}",
                f"  {says}; {one.tokens} steps, SHA-256 of the logits:",
                f"  first step  on {one.first}",
                f"             off {one.plain_first}",
                f"  whole reply on {one.whole}",
                f"             off {one.plain_whole}",
            ]
        if self.held_by:
            named = ", ".join(f"v{number}" for number in self.held_by)
            lines.append(f"still held by {named}; `memtune purge {self.id}` takes it out of them")
        elif self.id:
            lines.append("no version holds it")
        lines += [f"fitted while it may have been there: {what}" for what in self.fitted]
        return [*lines, *(f"against: {reason}" for reason in self.against)]


def certify(memory: Memory, fact_id: str | None, prompt: str | None, decode: DecodeConfig) -> Certificate:
    """For a fact, its wordings are asked, as the newest version that held it has them; or the prompt that is given."""
    folder, backbone = memory.folder, memory.backbone
    made = Certificate(
        id=fact_id,
        memory=str(folder.path),
        version=folder.version,
        manifest=folder.manifest.checksum,
        backbone=backbone.identity.name,
        weights=backbone.identity.weights,
        computed=f"{backbone.device}, {str(backbone.dtype).removeprefix('torch.')}, "
        f"{torch.get_num_threads()} threads, torch {torch.__version__}, one prompt a batch",
    )
    held = held_anywhere(folder, [fact_id]) if fact_id else []
    made.held_by = _versions(folder, held)
    made.against += _not_forgotten(folder, fact_id)
    made.fitted = _fitted(folder, made.held_by)
    prompts = [prompt] if prompt else list(held[-1].fact.wordings) if held else []
    if not prompts:
        made.against.append("no version holds it, so its wording is not known: name a prompt")
    config = replace(decode, temperature=0.0, unknown="base")
    for text in prompts:
        made.shown.append(_show(memory, text, config))
        made.against += _differing(made.shown[-1])
    return made


def _show(memory: Memory, prompt: str, config: DecodeConfig) -> Shown:
    answering = memory.serving()
    on, used = answering.reply(prompt, config, memory=True, raw=False)
    off, _ = answering.reply(prompt, config, memory=False, raw=False)
    return Shown(
        prompt,
        first=hash_of(on.logits[:1]),
        whole=hash_of(on.logits),
        plain_first=hash_of(off.logits[:1]),
        plain_whole=hash_of(off.logits),
        tokens=len(on.logits),
        reply=on.text.strip(),
        used=tuple(used),
    )


def hash_of(logits: Sequence[torch.Tensor]) -> str:
    """SHA-256 of every bit of every step, one behind the other."""
    digest = hashlib.sha256()
    for step in logits:
        plain = step.detach().cpu().contiguous()
        digest.update(f"{plain.dtype}{tuple(plain.shape)}".encode())
        digest.update(plain.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _differing(shown: Shown) -> list[str]:
    if shown.used:
        return [f"'{shown.prompt}' is answered from the memory, by {', '.join(dict.fromkeys(shown.used))}"]
    return [] if shown.same else [f"at '{shown.prompt}' the logits are not the plain model's"]


def _not_forgotten(folder: MemoryFolder, fact_id: str | None) -> list[str]:
    ref = folder.find([fact_id]).get(fact_id) if fact_id else None
    if ref is None:
        return []
    archived = ref.row in folder.manifest.segment(ref.segment).archived
    aside = " (archived: it answers nothing, but it is there)" if archived else ""
    return [f"the fact is NOT forgotten: version {folder.version} holds it{aside}"]


def _versions(folder: MemoryFolder, held: Sequence[Held]) -> list[int]:
    """The versions, also those that nothing leads to any more, that hold one of these rows."""
    if not held:
        return []
    return sorted({one.version for one in versions(folder) if any(one.holds(fact.ref) for fact in held)})


def _fitted(folder: MemoryFolder, held_by: Sequence[int]) -> list[str]:
    """What was measured on the memory. Where it does not say at which version, it may have been with the fact."""
    found = sidecar.read(folder.path, sidecar.CALIBRATION)
    if found is None or not held_by:
        return []
    measured = found.get("version")
    if isinstance(measured, int) and measured not in held_by:
        return []
    when = f"at v{measured}, which held it" if isinstance(measured, int) else "at a version that it does not name"
    return [f"{sidecar.CALIBRATION}: the router's threshold {found.get('threshold')}, measured {when}"]
