"""The check of the bundled backbone, and that what ships loads and answers."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from memtune import backbones
from memtune.errors import BackboneDamaged

FILES = {
    "checksums.json", "config.json", "generation_config.json", "model.safetensors", "tokenizer.json",
    "tokenizer_config.json",
}  # fmt: skip
MOST_BYTES = 40_000_000
MOST_PARAMETERS = 19_000_000


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the bundled folder that `bundled_folder` looks at instead."""
    folder = tmp_path / "bundled"
    shutil.copytree(backbones.BUNDLED, folder)
    monkeypatch.setattr(backbones, "BUNDLED", folder)
    return folder


def flip_one_bit(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def test_whole_folder_is_handed_out() -> None:
    folder = backbones.bundled_folder()
    assert {path.name for path in folder.iterdir()} >= FILES
    assert sum(path.stat().st_size for path in folder.iterdir()) <= MOST_BYTES


@pytest.mark.parametrize(("harm", "words"), [(Path.unlink, "missing"), (cut_short, "bytes"), (flip_one_bit, "altered")])
def test_damage_is_named_with_a_hint(copy: Path, harm: Callable[[Path], None], words: str) -> None:
    harm(copy / "model.safetensors")
    with pytest.raises(BackboneDamaged, match=rf"model\.safetensors.*{words}|{words}.*model\.safetensors") as raised:
        backbones.bundled_folder()
    assert "reinstall" in (raised.value.hint or "")
    assert "\n" not in raised.value.message


@pytest.mark.parametrize("content", [None, "{", "[]", '{"model.safetensors": 3}'])
def test_unreadable_checksums_are_damage(copy: Path, content: str | None) -> None:
    path = copy / "checksums.json"
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(BackboneDamaged, match=r"checksums\.json"):
        backbones.bundled_folder()


def test_a_lost_folder_is_damage(copy: Path) -> None:
    shutil.rmtree(copy)
    with pytest.raises(BackboneDamaged):
        backbones.bundled_folder()


def test_the_check_needs_no_torch() -> None:
    code = (
        "import sys; from memtune.backbones import bundled_folder; bundled_folder(); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_bundled_model_copies_an_answer_from_the_chat() -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = backbones.bundled_folder()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    assert model.num_parameters() <= MOST_PARAMETERS
    assert model.dtype == torch.bfloat16
    messages = [
        {"role": "system", "content": "Answer from the text.\nThe extension of Anna Bell is 4071."},
        {"role": "user", "content": "What is the extension of Anna Bell?"},
    ]
    prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    inputs = tokenizer(prompt, return_tensors="pt", return_token_type_ids=False)
    said = model.generate(**inputs, max_new_tokens=16, do_sample=False)[0, inputs["input_ids"].shape[1] :]
    assert tokenizer.decode(said) == " 4071<|endoftext|>"


def test_recorded_checksums_cover_every_file() -> None:
    table = json.loads((backbones.BUNDLED / "checksums.json").read_text())
    assert set(table) == FILES - {"checksums.json"}
