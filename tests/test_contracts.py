"""What the project promises about its own shape. `make lint` checks the direction of imports."""

from __future__ import annotations

import importlib.metadata
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import memtune
from memtune import errors

ROOT = Path(__file__).parents[1]
ERRORS = [
    error
    for error in vars(errors).values()
    if inspect.isclass(error) and issubclass(error, Exception) and error.__module__ == errors.__name__
]


def test_importing_memtune_is_light() -> None:
    heavy = ["torch", "transformers", "numpy", "faiss", "typer", "rich"]
    program = f"import memtune, sys; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", memtune.__all__)
def test_public_names_are_there(name: str) -> None:
    found = getattr(memtune, name)
    assert name == "__version__" or (inspect.isclass(found) and found.__name__ == name and found.__doc__)


def test_an_unknown_name_is_refused_like_in_any_module() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        memtune.nonsense  # noqa: B018


def test_the_version_is_the_installed_one() -> None:
    assert memtune.__version__ == importlib.metadata.version("memtune")
    assert f"## {memtune.__version__}" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_each_error_stands_in_the_tree_below_its_parent(error: type[errors.MemtuneError]) -> None:
    assert error.__doc__
    assert error.exit_code in (1, 2)
    tree = re.findall(r"^([│├└─ ]*)(\w+)  +(.+)$", str(errors.__doc__), re.MULTILINE)
    path: list[str] = []
    for branch, name, _ in tree:
        path[len(branch) // 4 :] = [name]
        if name == error.__name__:
            assert path == [base.__name__ for base in reversed(error.__mro__[: len(path)])]
            return
    pytest.fail(f"{error.__name__} is not in the docstring of errors.py")


def test_every_error_is_one_clear_line() -> None:
    known = [
        errors.UnknownSetting("a.b", ["a.c"]),
        errors.BadRows("f.jsonl", ["line 1: no 'answer'"]),
        errors.ExtraMissing("pyarrow", "parquet"),
        errors.MemtuneError("text", hint="do this"),
    ]
    for error in known:
        assert str(error) == error.message
        assert "\n" not in f"{error.message}{error.hint}"
        assert error.hint


def test_constraints_pin_what_is_required() -> None:
    pins = dict(re.findall(r"^([\w.-]+)==([\w.]+)", (ROOT / "constraints.txt").read_text().lower(), re.MULTILINE))
    pinned = {name.replace("_", "-") for name in pins}
    lines = [line.lower() for line in importlib.metadata.requires("memtune") or () if "quantised" not in line]
    required = {str(re.match(r"[\w.-]+", line).group()) for line in lines}
    assert required - {"memtune"} <= pinned
    assert pins["torch"] == "2.13.0"


def test_every_extra_that_is_asked_for_exists() -> None:
    known = importlib.metadata.metadata("memtune").get_all("Provides-Extra") or []
    sources = "".join(p.read_text("utf-8") for p in (ROOT / "src").rglob("*.py"))
    assert set(re.findall(r'ExtraMissing\("[\w-]+", "(\w+)"\)', sources)) <= set(known)


def test_nothing_is_unpickled_and_no_remote_code_is_run() -> None:
    forbidden = re.compile(r"\b(import pickle|torch\.(load|save)\(|trust_remote_code=True)")
    guilty = [p.name for p in (ROOT / "src").rglob("*.py") if forbidden.search(p.read_text("utf-8"))]
    assert guilty == []


def test_every_decision_is_in_the_index() -> None:
    folder = ROOT / "docs" / "decisions"
    index = (folder / "README.md").read_text("utf-8")
    assert [p.name for p in sorted(folder.glob("*.md")) if p.name != "README.md" and p.name not in index] == []
