"""Table 2 from views that were made once: the same as from views made for each row, and not made again after an
interruption."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import ablate
from ablate import Shared
from kept import Kept
from seg3r.choices import Geometry
from seg3r.evaluate.one_camera import place_room
from seg3r.methods.moonseg3r_config import BUNDLED_NUMBERS
from seg3r.presets import Bundled, moonseg3r, reconstructor
from seg3r.segment.geometric import GeometricSegmenter

SEED, FRAMES = 4, 3
PLACEMENTS = ("unprojected", "aligned")


@pytest.mark.parametrize("reconstruct", ["sensor", "cut3r"])
def test_replayed_equals_direct(reconstruct: Geometry) -> None:
    config = replace(BUNDLED_NUMBERS, refine=False, memory=False)
    shared = Shared(SEED, FRAMES, "noisy")
    geometry = reconstructor(reconstruct, Bundled(), tokens=True)
    direct = place_room(
        moonseg3r("bundled", config, reconstruct=geometry, segment=GeometricSegmenter()), shared.room, PLACEMENTS)
    views, segment = shared.views(reconstruct), shared.masks("geometric")
    for _ in range(2):
        again = place_room(
            moonseg3r("bundled", config, reconstruct=views, segment=segment), shared.room, PLACEMENTS)
        assert again.scale == direct.scale
        for placement in PLACEMENTS:
            own, other = (m.predictions[placement][FRAMES] for m in (direct, again))
            assert len(own) > 0
            for name in ("vertices", "starts", "labels", "scores"):
                assert np.array_equal(getattr(own, name), getattr(other, name))


def test_an_interrupted_table_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def table(*only: str) -> list[dict[str, object]]:
        args = argparse.Namespace(
            only=only, decisions=False, reconstruct=["sensor"], placement=PLACEMENTS, depth="clean", masks="truth")
        return ablate.table_2(args, [[SEED]], FRAMES, Kept(tmp_path / "table.json", {}), {})

    first = table("F2d only")
    assert [(r["name"], r["placement"], r["groups"]) for r in first] == [("F2d only", p, 1) for p in PLACEMENTS]
    both = table("F2d only", "F2d + F3d")
    assert [r for r in both if r["name"] == "F2d only"] == first
    monkeypatch.delattr(ablate, "Shared")
    assert table("F2d only", "F2d + F3d") == both
