"""A hub that is a folder of the test: nothing here needs a network."""

from __future__ import annotations

from pathlib import Path

import pytest

from seg3r.weights import disk
from seg3r.weights import hub as remote
from tests.models import tiny
from tests.weights.made_hub import Hub


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    model = tmp_path / "made"
    tiny.dino().save_pretrained(model)
    files = {p.name: p.read_bytes() for p in model.iterdir()}
    files |= {"README.md": b"# card", "pytorch_model.bin": b"\x80pickle", "pytorch_model.bin.index.json": b"{}",
              "preprocessor_config.json": b"{}", "onnx/model.safetensors": b"other", "vocab.txt": b"a\n"}
    made = Hub(tmp_path / "cache", files)
    monkeypatch.setattr(remote, "_listing", made.listing)
    monkeypatch.setattr(remote, "_download", made.download)
    monkeypatch.setattr(disk, "_cached", made.cached)
    monkeypatch.delenv(disk.HOME, raising=False)
    return made


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(disk.HOME, str(tmp_path / "home"))
    return tmp_path / "home"
