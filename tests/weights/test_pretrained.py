"""Folders of weights to models; what is wrong with a folder is said in one line."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from seg3r.errors import InputError, MissingExtraError
from seg3r.weights import pretrained
from tests.models import tiny


def spoil(path: Path, how: Callable[[bytes], bytes]) -> None:
    path.write_bytes(how(path.read_bytes()))


DINO = {"dinov2": "Dinov2Model"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny.dino().save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_a_model_comes_back_from_a_folder(folder: Path) -> None:
    built = pretrained.model(folder, DINO)
    assert not built.training and not any(p.requires_grad for p in built.parameters())
    pixels = torch.randn(1, 3, 28, 42, generator=torch.Generator().manual_seed(0))
    for source in (built, str(folder)):
        again = pretrained.model(source, DINO)
        assert torch.equal(again(pixel_values=pixels).last_hidden_state,
                           tiny.dino()(pixel_values=pixels).last_hidden_state)


def test_a_tokenizer_comes_back_from_a_folder(folder: Path) -> None:
    with pytest.raises(InputError, match="no tokenizer can be read"):
        pretrained.tokenizer(folder)
    tiny.clip_tokenizer().save_pretrained(folder)
    assert pretrained.tokenizer(folder)("chair")["input_ids"] == tiny.clip_tokenizer()("chair")["input_ids"]


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda f: (f / "config.json").unlink(), "no config.json here"),
        (lambda f: (f / "model.safetensors").rename(f / "model.bin"), "no model.safetensors here"),
        (lambda f: spoil(f / "config.json", lambda b: b"{"), "cannot be read"),
        (lambda f: spoil(f / "config.json", lambda b: b.replace(b'"dinov2"', b'"bert"')), "'bert'; expected dinov2"),
        (lambda f: spoil(f / "model.safetensors", lambda b: b[:-100]), "cannot be read"),
        (shutil.rmtree, "neither a folder nor a name"),
    ],
)
def test_folders_that_hold_no_such_model(folder: Path, harm: Callable[[Path], None], said: str) -> None:
    harm(folder)
    with pytest.raises(InputError, match=said) as caught:
        pretrained.model(folder, DINO)
    assert "\n" not in str(caught.value) and str(folder) in str(caught.value)


def test_missing_tensors_are_not_made_up(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    del tensors["layernorm.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"1 tensors are missing, such as layernorm\.weight"):
        pretrained.model(folder, DINO)


def test_without_transformers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.import_module

    def without(name: str, package: str | None = None) -> Any:
        if name == "transformers":
            raise ModuleNotFoundError(name)
        return real(name, package)

    monkeypatch.setattr(importlib, "import_module", without)
    with pytest.raises(MissingExtraError, match=r"seg3r\[models\]"):
        pretrained.model(folder, DINO)
