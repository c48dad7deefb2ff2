"""Two processes on the CPU train as one would on both their samples."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from seg3r.errors import InputError, MissingExtraError
from seg3r.train.distributed import DistributedContext
from seg3r.train.loop import CHECKPOINT, CURVE
from seg3r.train.recipes import ClipRecipe
from seg3r.train.trainers import clip_from_rooms
from tests.conftest import REPOSITORY
from tests.train.together import STEPS, net


def launched(out: Path, count: int) -> None:
    """As a launcher starts them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    plain = {k: v for k, v in os.environ.items() if k not in ("WORLD_SIZE", "RANK", "LOCAL_RANK")}
    running = []
    for rank in range(count):
        launched = {"WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count, "RANK": rank, "LOCAL_RANK": rank,
                "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port} if count > 1 else {}
        running.append(subprocess.Popen(
            [sys.executable, "-m", "tests.train.together", str(out)], cwd=REPOSITORY, stderr=subprocess.PIPE,
            env={**plain, **{k: str(v) for k, v in launched.items()}, "OMP_NUM_THREADS": "1"}, text=True,
        ))
    try:
        for process in running:
            _, said = process.communicate(timeout=120)
            assert process.returncode == 0, said
    finally:
        for process in running:
            process.kill()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("accelerate", reason="several processes need accelerate (the extra `train`)")
    if not torch.distributed.is_gloo_available():
        pytest.skip("this torch has no gloo: processes on a CPU cannot talk")
    out = tmp_path_factory.mktemp("together")
    launched(out, 1)
    launched(out, 2)
    return out


def weights(runs: Path, name: str) -> dict[str, Tensor]:
    return load_file(runs / f"{name}.safetensors")


def test_both_end_with_the_same_weights(runs: Path) -> None:
    mine, theirs = weights(runs, "whole-0"), weights(runs, "whole-1")
    assert all(torch.equal(value, theirs[name]) for name, value in mine.items())


def test_they_are_those_of_one_process_on_both_samples(runs: Path) -> None:
    together, joint, fresh = weights(runs, "whole-0"), weights(runs, "joint"), net().state_dict()
    for name, value in joint.items():
        assert torch.allclose(together[name], value, atol=1e-5), name
        assert torch.equal(value, fresh[name]) == (name == "never"), name
    assert torch.equal(together["never"], fresh["never"]), "nobody had a gradient for it: no weight decay either"


def test_the_main_process_writes_and_the_loss_is_the_mean(runs: Path) -> None:
    curves = [(runs / name / CURVE).read_text().splitlines() for name in ("whole", "joint")]
    assert all(len(curve) == STEPS for curve in curves)
    for mine, theirs in zip(*curves, strict=True):
        assert json.loads(mine)["step"] == json.loads(theirs)["step"]
        assert json.loads(mine)["loss"] == pytest.approx(json.loads(theirs)["loss"], abs=1e-5)
    assert (runs / "whole" / CHECKPOINT).is_file()
    assert (runs / "prepared").read_text() == "0"


def test_an_interruption_leaves_no_trace(runs: Path) -> None:
    for rank in range(2):
        whole, cut = weights(runs, f"whole-{rank}"), weights(runs, f"cut-{rank}")
        assert all(torch.equal(value, cut[name]) for name, value in whole.items())
    assert (runs / "whole" / CURVE).read_text() == (runs / "cut" / CURVE).read_text()


def test_alone_nothing_changes() -> None:
    context = DistributedContext()
    assert context.main and context.count == 1 and context.device == torch.device("cpu")
    assert [context.sample_index(step) for step in (0, 1, 7)] == [0, 1, 7]
    weight = nn.Parameter(torch.ones(2))
    with context.main_first():
        assert context.average([weight], 0.1 + 0.2) == 0.1 + 0.2
    assert weight.grad is None


def test_what_is_missing_or_learns_alone_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Three(DistributedContext):
        def __init__(self, device: object) -> None:
            self.count, self.rank = 3, 1

    monkeypatch.setattr("seg3r.train.trainers.DistributedContext", Three)
    with pytest.raises(InputError, match="clip learns in one process"):
        clip_from_rooms(ClipRecipe(steps=1, rooms=1), tmp_path / "run")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(MissingExtraError, match=r"seg3r\[train\]"):
        DistributedContext()
