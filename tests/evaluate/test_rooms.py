"""A method measured on a room: the online curve, and the oracle ladder."""

from __future__ import annotations

from functools import cache

import pytest

from seg3r.datasets.rooms import TrueRoom, true_rooms
from seg3r.embed.oracle import TruthIdentity
from seg3r.evaluate.rooms import give_identity, measure_rooms
from seg3r.evaluate.run import Evaluation
from seg3r.methods.opentrack3d import OpenTrack3DConfig
from seg3r.presets.bundled import Bundled
from seg3r.presets.mappers import opentrack3d


@cache
def rooms() -> list[TrueRoom]:
    return list(true_rooms("train", 1, 0, 12, (240, 320), "clean", keep=True))


@cache
def on_the_way() -> Evaluation:
    """True masks, a point of the curve at every third frame."""
    return measure_rooms(rooms(), Bundled(), masks="truth", online_every=3)


def test_perfect_masks_on_clean_depth_are_nearly_perfect_instances() -> None:
    measured = on_the_way()
    answer = measured.as_json()
    assert answer["AP50"] > 0.8  # twelve frames: what was seen once only is no instance yet
    assert answer["purity"] > 0.9
    assert [point["frame"] for point in answer["online"]] == [3, 6, 9, 12]
    assert answer["online"][-1]["AP"] == pytest.approx(answer["AP"])
    assert answer["settings"]["masks"] == "truth" and answer["settings"]["preset"] == "bundled"
    assert set(answer["median_ms"]) == {
        "reconstruct", "segment", "embed", "lift", "associate", "add", "maintain", "refine"}


def test_a_longer_look_finds_more() -> None:
    curve = on_the_way().curve
    assert curve[0][1] < curve[-1][1]


def test_perfect_association_leaves_one_instance_per_thing() -> None:
    ticks: list[tuple[int, int]] = []
    measured = measure_rooms(
        rooms(), Bundled(), masks="truth", association="truth", progress=lambda *told: ticks.append(told))
    assert measured.quality.purity > 0.9
    assert [done for done, _ in ticks] == [1] and ticks[0][1] > 3
    mapper = opentrack3d(Bundled())
    give_identity(mapper, rooms()[0].recording)
    assert isinstance(mapper.embed, TruthIdentity), "it is what the stage is, not a wrapper of it"


def test_perfect_names_score_by_class() -> None:
    """The last rung of the ladder: masks and names are true, so that only the map is measured."""
    named = measure_rooms(rooms(), Bundled(), masks="truth", labels="truth")
    overall = named.result.overall
    assert overall.ap50 > 0.7 and named.settings["labels"] == "truth"
    assert sum(ap.ap50 == ap.ap50 for ap in named.result.per_class.values()) > 3, "several classes are there"
    assert [count for count, _ in named.curve] == [12], "names are given to the finished map"
    voted = measure_rooms(rooms(), Bundled(), masks="truth", labels="votes")
    assert voted.result.overall.ap50 == pytest.approx(overall.ap50, abs=0.1), "true masks bring true names"


def test_the_config_is_the_methods() -> None:
    coarse = measure_rooms(rooms(), Bundled(), OpenTrack3DConfig(voxel_m=0.1), masks="truth")
    assert coarse.settings["max_dist_m"] == pytest.approx(0.15)
    assert coarse.result.overall.ap < on_the_way().result.overall.ap
