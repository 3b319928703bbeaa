"""Memories on the move: into one file and out of it, to another folder, to a repository of the Hugging Face hub."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from memtune.config import TransferConfig
from memtune.errors import FolderError, NotFound, UsageError
from memtune.store import MemoryFolder, archive, copying
from memtune.store.durable import plain_errors
from memtune.store.layout import exists
from memtune.store.refs import parse_address
from memtune.store.stats import stats

HUB = "hf://"
"""`hf://owner/name`, or `hf://owner/name@revision` to pull from."""
_REPO = re.compile(r"[\w.-]+/[\w.-]+(?:@[\w./-]+)?")
_WANTED = ["memory.json", "refs.json", "audit.jsonl", "calibration.json", "manifests/*.json", "shards/*.safetensors"]


@dataclass(frozen=True)
class Moved:
    """What went where."""

    where: str
    version: int
    facts: int
    new: int = 0
    """Versions that were not there before."""
    bytes: int = 0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


# ---- one file -------------------------------------------------------------------------------------------------------


def export(folder: MemoryFolder, file: str | os.PathLike[str]) -> Moved:
    """The memory with its history as one file. The same memory gives the same bytes."""
    size = archive.pack(folder, Path(file))
    return Moved(os.fspath(file), folder.version, folder.count(), bytes=size)


def import_memory(
    file: str | os.PathLike[str], memory: str | os.PathLike[str], config: TransferConfig | None = None
) -> Moved:
    """A memory from a file, in a folder that is new or empty."""
    target = _folder_to_write(memory)
    archive.unpack(Path(file), target, max_bytes=(config or TransferConfig()).max_bytes)
    with MemoryFolder.open(target) as made:
        return Moved(
            os.fspath(memory), made.version, made.count(), new=made.refs.latest, bytes=Path(file).stat().st_size
        )


# ---- another place --------------------------------------------------------------------------------------------------


def push(folder: MemoryFolder, to: str) -> Moved:
    """Bring a copy up to date, in a folder or on the hub. One that holds what this memory lacks is left alone."""
    card = model_card(folder).encode()
    if not to.startswith(HUB):
        target = _folder_to_write(to)
        _refuse_itself(folder, target)
        new = copying.bring(folder, target, card=card)
        return Moved(to, folder.version, folder.count(), new)
    repo, revision = _repository(to)
    with _reaching(to) as hub, tempfile.TemporaryDirectory(prefix="memtune-push-") as name:
        api = hub.HfApi()
        api.create_repo(repo, repo_type="model", exist_ok=True, private=True)
        staged, there = Path(name) / "memory", Path(name) / "there"
        _fetch(hub, repo, revision, there, only=("memory.json", "refs.json", "audit.jsonl", "manifests/*.json"))
        new = _require_ahead(folder, there)
        copying.bring(folder, staged, card=card)
        (staged / "writer.lock").unlink(missing_ok=True)
        message = f"memtune push: version {folder.version}, {folder.count():,} facts"
        api.upload_folder(
            repo_id=repo, folder_path=str(staged), repo_type="model", revision=revision, commit_message=message,
            delete_patterns=["manifests/*", "shards/*"],
        )  # fmt: skip
    return Moved(to, folder.version, folder.count(), new)


def pull(source: str, memory: str | os.PathLike[str]) -> Moved:
    """Make a copy of a memory, or bring one up to date."""
    target = _folder_to_write(memory)
    if not source.startswith(HUB):
        with MemoryFolder.open(source) as folder:
            return _taken(folder, source, target)
    repo, revision = _repository(source)
    with _reaching(source) as hub, tempfile.TemporaryDirectory(prefix="memtune-pull-") as name:
        _fetch(hub, repo, revision, Path(name), only=_WANTED)
        if not exists(Path(name)):
            raise NotFound(f"{source} holds no memory")
        with MemoryFolder.open(name) as folder:
            return _taken(folder, source, target)


def _taken(folder: MemoryFolder, source: str, target: Path) -> Moved:
    _refuse_itself(folder, target)
    new = copying.bring(folder, target)
    with MemoryFolder.open(target) as made:
        with made.writer(), plain_errors(target):  # it makes the catalogue
            made.refs.write(target)  # which is on this machine
        return Moved(source, made.version, made.count(), new)


def _require_ahead(folder: MemoryFolder, there: Path) -> int:
    """How many versions are new to a copy of which only the manifests are at hand."""
    if not exists(there):
        return folder.refs.latest
    for name in ("shards", "manifests"):
        (there / name).mkdir(exist_ok=True)
    return copying.require_ahead(folder, there)


def _folder_to_write(address: str | os.PathLike[str]) -> Path:
    path, at = parse_address(os.fspath(address))
    if at is not None:
        raise UsageError(f"'{address}' names a version; a copy is made of a whole folder", hint=f"name {path}")
    return path


def _refuse_itself(folder: MemoryFolder, target: Path) -> None:
    if copying.same_place(folder.path, target):
        raise UsageError(f"{target} is this memory itself", hint="name another folder")


# ---- the hub --------------------------------------------------------------------------------------------------------


def _repository(address: str) -> tuple[str, str | None]:
    name = address.removeprefix(HUB)
    if not _REPO.fullmatch(name):
        raise UsageError(f"'{address}' names no repository", hint="write hf://owner/name")
    repo, _, revision = name.partition("@")
    return repo, revision or None


def _hub() -> Any:
    import huggingface_hub

    return huggingface_hub


@contextmanager
def _reaching(address: str) -> Iterator[Any]:
    """The library of the hub; what goes wrong with it in a line."""
    from huggingface_hub import constants, errors

    if constants.HF_HUB_OFFLINE:
        hint = "unset HF_HUB_OFFLINE, or name a folder"
        raise FolderError(f"{address} cannot be reached: working offline was asked for", hint=hint)
    try:
        yield _hub()
    except errors.RepositoryNotFoundError:
        hint = "check the name; a private one needs `hf auth login`"
        raise NotFound(f"there is no repository {address}, or it may not be seen", hint=hint) from None
    except errors.RevisionNotFoundError:
        raise NotFound(f"{address}: there is no such revision") from None
    except errors.HfHubHTTPError as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        hint = "`hf auth login` with a token that may write" if "401" in said or "403" in said else "try again later"
        raise FolderError(f"{address}: the hub refused: {said}", hint=hint) from None
    except (OSError, errors.LocalTokenNotFoundError) as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FolderError(
            f"{address} cannot be reached: {said}", hint="check the connection, or name a folder"
        ) from None
    except Exception as error:  # the library of connections below it has errors of its own
        if type(error).__module__.split(".")[0] not in ("httpx", "httpcore", "requests"):
            raise
        hint = "check the connection, or name a folder"
        raise FolderError(f"{address} cannot be reached: {type(error).__name__}: {error}", hint=hint) from None


def _fetch(hub: Any, repo: str, revision: str | None, to: Path, *, only: Any) -> None:
    to.mkdir(exist_ok=True)
    hub.snapshot_download(repo, repo_type="model", revision=revision, local_dir=str(to), allow_patterns=list(only))


# ---- the card -------------------------------------------------------------------------------------------------------


def model_card(folder: MemoryFolder) -> str:
    """What a pushed memory says of itself: what it is, on which model, how it is used. No fact is told."""
    found, backbone = stats(folder), folder.header.backbone
    name = str(backbone.get("name", "unknown"))
    base = [f"base_model: {name}"] if re.fullmatch(r"[\w.-]+/[\w.-]+", name) and not Path(name).exists() else []
    experts = ", ".join(f"{kind} ({count:,})" for kind, count in found.experts.items()) or "none"
    groups = [f"| {_cell(group or '(none)')} | {count:,} |" for group, count in list(found.groups.items())[:20]]
    return "\n".join(
        [
            "---",
            "library_name: memtune",
            *base,
            "tags:",
            "- memtune",
            "- memory-tuning",
            "---",
            "",
            f"# A memory of {found.facts:,} facts",
            "",
            f"Facts learned beside the frozen model `{_cell(name)}` with memtune. The model itself is not in here, and "
            "is not changed: where no fact is asked for, its output is the model's own, bit for bit.",
            "",
            "| | |",
            "|---|---|",
            f"| facts | {found.facts:,} |",
            f"| kinds of experts (facts) | {experts} |",
            f"| version | {found.version} |",
            f"| model | `{_cell(name)}` |",
            f"| weights (sampled SHA-256) | `{str(backbone.get('weights', ''))[:16]}` |",
            "",
            "| group | facts |",
            "|---|---|",
            *groups,
            "",
            "```",
            "pip install memtune",
            "memtune pull hf://OWNER/NAME --memory memory",
            'memtune ask "…" --memory memory --model MODEL',
            "memtune verify --memory memory",
            "```",
            "",
        ]
    )


def _cell(text: str) -> str:
    """Nothing that a name holds can leave its place in the card."""
    return re.sub(r"[`|<>\[\]\n\r]", " ", text)
