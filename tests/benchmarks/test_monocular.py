"""The measure of a single camera: what is given everything is right, and what is wrong is seen."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import monocular
from seg3r.errors import InputError
from seg3r.rooms import write_room
from seg3r.sources.rooms import RoomsSource
from seg3r.types import Camera, Frame

SIZE, FRAMES, STEPS = (48, 64), 8, 60
FIGURES = {"ate_m", "path_m", "absrel", "coverage", "fps", "registered", "scale_breaks"}


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict[str, Any]]:
    """Words -> what was written."""

    def run(*words: str) -> dict[str, Any]:
        monkeypatch.setattr(sys, "argv", ["monocular.py", *words, "--json", str(tmp_path / "figures.json")])
        monocular.main()
        return json.loads((tmp_path / "figures.json").read_text())

    return run


def assert_right(figures: dict[str, Any], off: float) -> None:
    (run,) = figures["runs"]
    assert run.keys() >= FIGURES
    assert run["registered"] == run["frames"] == run["compared"] == FRAMES
    assert run["path_m"] > 0.3 and run["ate_m"] < 1e-3 and run["scale"] == pytest.approx(1, abs=1e-3)
    assert run["absrel"] <= off and run["coverage"] > 0.9 and run["within_1.25"] > 0.99
    assert run["scale_breaks"] == 0 and run["fps"] > 0


def test_what_is_given_everything_is_right(
    command: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    figures = command("rooms:3", "--frames", str(FRAMES), "--size", *map(str, SIZE), "--reconstruct", "sensor")
    assert_right(figures, 0)
    assert figures["settings"]["frames"] == [FRAMES, *SIZE]
    assert "ate_m" in capsys.readouterr().out


def test_saved_geometry_is_as_right_as_what_was_saved(
    command: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    """It is shown colour alone. Depth was rounded to millimetres."""
    write_room(3, FRAMES, SIZE, "clean", tmp_path / "room")
    folder = str(tmp_path / "room")
    assert_right(command(folder, "--reconstruct", "saved", "--folder", folder), 1e-3)


def test_what_cannot_be_measured_is_one_line(
    command: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    for words, why in (
        (("rooms:x",), "rooms:SEED"), (("nowhere",), "nowhere"),
        (("rooms:3", "--frames", "2", "--size", "48", "64"), "fewer than three frames"),
        (("rooms:3", "--frames", "3", "--size", "48", "64", "--reconstruct", "saved"), "name it"),
    ):
        with pytest.raises(SystemExit):
            command(*words)
        assert why in capsys.readouterr().err.strip().splitlines()[-1]


# ---- a video of the same walk ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def video() -> list[Frame]:
    return list(RoomsSource(3, frames=FRAMES, size=SIZE, depth="clean"))


def test_frames_are_found_again_in_a_video(video: list[Frame]) -> None:
    """By their looks, whatever their numbers; compression may have touched them."""
    shift = torch.tensor([3, -2, 2], dtype=torch.int16)
    recording = [
        replace(video[at], index=n, rgb=(video[at].rgb.short() + shift).clamp(0, 255).to(torch.uint8))
        for n, at in enumerate((1, 4, 6))
    ]
    known = monocular.truths(recording)
    found = monocular.renumbered(known, recording, video)
    assert list(found) == [1, 4, 6]
    assert all(found[at] is known[n] for n, at in enumerate((1, 4, 6)))


def test_another_walk_and_another_order_are_refused(video: list[Frame]) -> None:
    recording = [replace(video[at], index=n) for n, at in enumerate((1, 6, 4))]
    known = monocular.truths(recording)
    with pytest.raises(InputError, match=r"frame 2 of the recording.*same walk"):
        monocular.renumbered(known, recording, video)
    dark = [replace(frame, rgb=frame.rgb // 4) for frame in recording]
    with pytest.raises(InputError, match=r"frame 0 of the recording.*grey levels off"):
        monocular.renumbered(known, dark, video)


# ---- the figures -----------------------------------------------------------------------------------------------------


def walked(speeds: np.ndarray, size: float = 1.0) -> tuple[dict[int, Any], dict[int, Any]]:
    """(what is said, what is true) of a walk along an arc of 5 cm steps; each step is told `speeds` times as long,
    and all depth `size` times as far."""
    turn = np.linspace(0, 1.5, STEPS)
    steps = 0.05 * np.stack((np.cos(turn), 0.2 * np.sin(3 * turn), np.sin(turn)), 1)
    kept, known = {}, {}
    depth = 1 + torch.rand(6, 8, generator=torch.Generator().manual_seed(0))
    for n, (true, told) in enumerate(zip(steps.cumsum(0), (steps * speeds[:, None]).cumsum(0), strict=True)):
        T = torch.eye(4, dtype=torch.float64)
        T[:3, 3] = torch.from_numpy(true)
        own = T.numpy().copy()
        own[:3, 3] = told
        known[n] = monocular.Truth(depth, Camera(torch.eye(3, dtype=torch.float64), T, (6, 8)))
        kept[n] = monocular.Sighted(own, (size * depth).numpy(), np.ones((6, 8), np.bool_), depth.numpy())
    return kept, known


def test_a_scale_of_its_own_costs_nothing() -> None:
    kept, known = walked(np.full(STEPS, 0.4), 0.4)
    said = monocular.measured(kept, known, [])
    assert said["ate_m"] == pytest.approx(0, abs=1e-9) and said["scale"] == pytest.approx(2.5)
    assert said["absrel"] == pytest.approx(0, abs=1e-6) and said["within_1.25"] == said["coverage"] == 1
    assert said["rpe_m"] == pytest.approx(0, abs=1e-9) and said["drift"] == pytest.approx(0, abs=1e-9)
    assert said["scale_breaks"] == 0 and said["compared"] == STEPS
    assert said["path_m"] == pytest.approx(0.05 * (STEPS - 1), rel=0.05)


def test_depth_of_another_scale_than_the_walk_is_wrong() -> None:
    said = monocular.measured(*walked(np.full(STEPS, 0.4), 0.8), [])
    assert said["ate_m"] == pytest.approx(0, abs=1e-9)
    assert said["absrel"] == pytest.approx(1, abs=1e-5) and said["within_1.25"] == 0


@pytest.mark.parametrize(("events", "announced"), [
    ([], 0), ([(35, "lost")], 1), ([(35, "focal"), (33, "dropped")], 0), ([(0, "lost")], 0),
])
def test_a_broken_scale_is_counted_and_so_is_its_announcement(
    events: list[tuple[int, str]], announced: int
) -> None:
    said = monocular.measured(*walked(np.where(np.arange(STEPS) < 30, 1.0, 3.0)), events)
    assert said["scale_breaks"] == 1 and abs(said["breaks_at"][0] - 30) <= 2
    assert said["announced"] == announced and said["ate_m"] > 0.05


def test_too_little_to_tell_is_nan_and_null() -> None:
    kept, known = walked(np.ones(STEPS))
    said = monocular.measured({n: kept[n] for n in (0, 1)}, known, [(3, "lost")])
    assert math.isnan(said["ate_m"]) and math.isnan(said["absrel"]) and said["scale_breaks"] == 0
    assert said["compared"] == 2 and monocular.rounded(said["ate_m"]) is None
    assert said.keys() >= FIGURES - {"fps", "registered"}
