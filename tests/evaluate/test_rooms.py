"""A method measured on a room: the online curve, perfect masks, and what the files say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from seg3r import api
from seg3r.cli import main
from seg3r.errors import InputError
from seg3r.rooms import split_seeds

SMALL = {"rooms": 1, "frame_count": 12, "size": (240, 320), "split": "train"}


def test_perfect_masks_on_clean_depth_are_nearly_perfect_instances() -> None:
    answer = api.evaluate_rooms(masks="truth", depth="clean", online_every=6, **SMALL)
    assert answer["AP50"] > 0.8  # twelve frames: what was seen once only is no instance yet
    assert answer["purity"] > 0.9
    assert [point["frame"] for point in answer["online"]] == [6, 12]
    assert answer["online"][-1]["AP"] == pytest.approx(answer["AP"])
    assert answer["settings"]["masks"] == "truth"


def test_a_longer_look_finds_more() -> None:
    curve = api.evaluate_rooms(masks="truth", depth="clean", online_every=3, **SMALL)["online"]
    assert curve[0]["AP"] < curve[-1]["AP"]


def test_perfect_association_leaves_one_instance_per_thing() -> None:
    answer = api.evaluate_rooms(masks="truth", association="truth", depth="clean", online_every=0, **SMALL)
    assert answer["purity"] > 0.9


def test_an_unknown_switch_is_named() -> None:
    with pytest.raises(InputError, match="denoise"):
        api.evaluate_rooms(without=("nothing",), **SMALL)


def test_a_written_room_is_measured_like_the_streamed_one(tmp_path: Path) -> None:
    seed = split_seeds("train", 1)[0]
    main(["rooms", "--seed", str(seed), "--frames", "12", "--size", "320x240", "--depth", "clean", "--out",
          str(tmp_path / "room")])
    main(["run", "opentrack3d", str(tmp_path / "room"), "--masks", "truth", "--out", str(tmp_path / "map"), "--json",
          str(tmp_path / "figures.json")])
    streamed = api.evaluate_rooms(masks="truth", depth="clean", online_every=0, **SMALL)
    assert json.loads((tmp_path / "figures.json").read_text())["AP50"] == pytest.approx(streamed["AP50"], abs=0.1)
    truth = tmp_path / "room" / "truth"
    main(["evaluate", "map", str(tmp_path / "map"), "--points", str(truth / "cloud.ply"), "--gt",
          str(truth / "ids.txt"), "--class-agnostic", "--json", str(tmp_path / "ap.json")])
    assert json.loads((tmp_path / "ap.json").read_text())["AP50"] == pytest.approx(streamed["AP50"], abs=0.1)
