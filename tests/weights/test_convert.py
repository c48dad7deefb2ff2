"""Pickles in, safetensors out; nothing of theirs runs."""

from __future__ import annotations

import argparse
import os
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from seg3r.errors import InputError
from seg3r.weights.convert import convert


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


def test_option_objects_of_a_library_that_is_not_here_are_passed_over(tmp_path: Path) -> None:
    """As in CUT3R's release: weights beside a tree of omegaconf's."""
    module = types.ModuleType("omegaconf.dictconfig")

    class DictConfig:
        def __init__(self) -> None:
            self.content, self.metadata = {"model": "ARCroco3DStereo(...)"}, {"flags": {1, 2}}

        def __getstate__(self) -> dict[str, object]:
            return dict(self.__dict__)

    DictConfig.__module__, DictConfig.__qualname__ = "omegaconf.dictconfig", "DictConfig"
    module.DictConfig = DictConfig  # type: ignore[attr-defined]
    parent = types.ModuleType("omegaconf")
    sys.modules |= {"omegaconf": parent, "omegaconf.dictconfig": module}
    try:
        torch.save({"args": DictConfig(), "model": {"module.w": torch.ones(2)}}, tmp_path / "model.pth")
    finally:
        del sys.modules["omegaconf"], sys.modules["omegaconf.dictconfig"]
    assert convert(tmp_path / "model.pth", tmp_path / "out.safetensors") == 1
    assert load_file(tmp_path / "out.safetensors")["module.w"].tolist() == [1, 1]


def test_other_objects_are_still_refused(tmp_path: Path) -> None:
    class Config:
        pass

    Config.__module__, Config.__qualname__ = "elsewhere", "Config"
    module = types.ModuleType("elsewhere")
    module.Config = Config  # type: ignore[attr-defined]
    sys.modules["elsewhere"] = module
    try:
        torch.save({"args": Config(), "model": {"w": torch.ones(2)}}, tmp_path / "model.pth")
    finally:
        del sys.modules["elsewhere"]
    with pytest.raises(InputError, match="refused"):
        convert(tmp_path / "model.pth", tmp_path / "out.safetensors")


def test_a_file_cut_short_is_refused(tmp_path: Path) -> None:
    torch.save({"w": torch.ones(1000)}, tmp_path / "whole.pth")
    (tmp_path / "half.pth").write_bytes((tmp_path / "whole.pth").read_bytes()[:900])
    with pytest.raises(InputError, match="refused"):
        convert(tmp_path / "half.pth", tmp_path / "out.safetensors")


@pytest.mark.parametrize(
    ("tensor", "why"),
    [
        (lambda: torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8), "quantised"),
        (lambda: torch.eye(3).to_sparse(), "not dense"),
        (lambda: torch.ones(2, 2).to_sparse_csr(), "not dense"),
        (lambda: torch.ones(3, device="meta"), "no numbers"),
        (lambda: torch.ones(3, dtype=torch.complex64), "complex64"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_what_safetensors_cannot_hold_is_said(tensor: Callable[[], torch.Tensor], why: str, tmp_path: Path) -> None:
    torch.save({"good": torch.ones(2), "odd": tensor()}, tmp_path / "model.pth")
    with pytest.raises(InputError, match=f"'odd' .*{why}|refused") as caught:
        convert(tmp_path / "model.pth", tmp_path / "out.safetensors")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out.safetensors").exists()


@pytest.mark.parametrize("name", ["__metadata__", "half \ud800"])
def test_names_that_safetensors_does_not_allow(name: str, tmp_path: Path) -> None:
    torch.save({name: torch.ones(2)}, tmp_path / "model.pth")
    with pytest.raises(InputError, match="a name that safetensors does not allow") as caught:
        convert(tmp_path / "model.pth", tmp_path / "out.safetensors")
    assert str(caught.value).isprintable()


def test_a_tensor_that_spreads_over_all_memory_is_refused(tmp_path: Path) -> None:
    torch.save({"w": torch.ones(1).expand(100_000, 1_000_000)}, tmp_path / "model.pth")
    with pytest.raises(InputError, match="400000000000 bytes"):
        convert(tmp_path / "model.pth", tmp_path / "out.safetensors")


def test_a_dict_that_holds_itself_ends(tmp_path: Path) -> None:
    held: dict[str, object] = {"epoch": 3}
    held["model"] = held
    torch.save(held, tmp_path / "model.pth")
    with pytest.raises(InputError, match="no weights in it"):
        convert(tmp_path / "model.pth", tmp_path / "out.safetensors")


def test_a_checkpoint_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    torch.save({"w": torch.ones(2)}, path)
    before = path.read_bytes()
    with pytest.raises(InputError, match="the checkpoint itself"):
        convert(path, tmp_path / "." / "model.pth")
    assert path.read_bytes() == before
