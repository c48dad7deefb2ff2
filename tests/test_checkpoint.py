"""Pickles in, safetensors out; nothing of theirs runs."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from seg3r.checkpoint import convert
from seg3r.errors import InputError


class Bomb:
    """Unpickled without restraint it would run a command."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.mark}",)


@pytest.mark.parametrize("holder", [None, "model", "state_dict"])
def test_weights_come_out_as_they_were(tmp_path: Path, holder: str | None) -> None:
    tied = torch.arange(6.0).reshape(2, 3)
    weights = {"a.weight": tied, "b": torch.ones(4, dtype=torch.float16), "tied": tied}
    told = weights if holder is None else {holder: weights, "args": argparse.Namespace(lr=0.1), "epoch": 3}
    torch.save(told, tmp_path / "model.pth")
    assert convert(tmp_path / "model.pth", tmp_path / "out" / "model.safetensors") == 3
    back = load_file(tmp_path / "out" / "model.safetensors")
    assert back.keys() == weights.keys()
    assert all(torch.equal(back[name], weights[name]) for name in weights)


def test_code_is_refused_and_does_not_run(tmp_path: Path) -> None:
    torch.save({"model": {"w": torch.ones(1)}, "extra": Bomb(tmp_path / "ran")}, tmp_path / "bomb.pth")
    with pytest.raises(InputError, match="refused"):
        convert(tmp_path / "bomb.pth", tmp_path / "out.safetensors")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bomb.pth"]


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, {"model": {}}])
def test_a_checkpoint_without_weights_says_so(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "model.pth")
    with pytest.raises(InputError, match="no weights in it"):
        convert(tmp_path / "model.pth", tmp_path / "out.safetensors")


def test_no_such_file_and_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        convert(tmp_path / "model.pth", tmp_path / "out.safetensors")
    (tmp_path / "text.pth").write_text("hello")
    with pytest.raises(InputError, match="refused"):
        convert(tmp_path / "text.pth", tmp_path / "out.safetensors")
