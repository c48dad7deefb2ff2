"""Rows, curves and their picture, on a short walk."""

from __future__ import annotations

import argparse
from pathlib import Path
from xml.etree import ElementTree

import pytest

import long_videos
from long_videos import ODOMETRY, TRUE, charts, geometry_of, names_of


def test_a_short_walk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    args = argparse.Namespace(
        split="train", seeds=1, rooms=1, frames=8, size=(120, 160), pose=(), reset_every=3, online_every=4,
        masks="truth", quick=False, fresh=False, json=tmp_path / "long.json", chart=None,
    )
    rows = long_videos.measure(args)
    assert [(r["name"], r["placement"]) for r in rows] == [
        (name, placement) for placement in ("unprojected", "aligned") for name in ("odometry", "true geometry")]
    for row in rows[1::2]:
        assert [point[0] for point in row["curve"]] == [4, 8]
        assert row["curve"][-1][1:] == [row["AP"], row["AP50"], row["AP25"]]
        assert row["scale"] == pytest.approx(1, abs=1e-3)
        assert row["ms_start"] > 0
    assert all(row["frames"] in (0, 8) for row in rows)  # so few and so small: odometry may find no start
    monkeypatch.delattr(long_videos, "place_room")
    assert long_videos.measure(args) == rows


def test_names_say_what_is_run() -> None:
    names = names_of(("head",))
    assert names == ["head, plain", "head, reset", "head, gate", "head, both", ODOMETRY, TRUE]
    kinds = [geometry_of(name, 7) for name in names[:4]]
    assert [(g.reset_every, g.gate) for g in kinds] == [(0, False), (7, False), (0, True), (7, True)]  # type: ignore[attr-defined]
    assert all(g.motion is None for g in kinds)  # type: ignore[attr-defined]


def test_the_picture_has_a_panel_for_each_pose_and_placement() -> None:
    rows = [
        {"name": f"{pose}, {update}", "placement": placement, "curve": [[50, 0.1, 0.2, 0.3], [100, None, 0.3, 0.4]]}
        for pose in ("solver", "head") for update in ("plain", "gate") for placement in ("unprojected", "aligned")
    ]
    picture = ElementTree.fromstring(charts(rows, ("solver", "head")))
    panels = [e for e in picture if e.tag.endswith("svg")]
    assert len(panels) == 4
    assert len({(p.get("x"), p.get("y")) for p in panels}) == 4
    assert all(sum(e.tag.endswith("path") for e in p) == 2 for p in panels)
