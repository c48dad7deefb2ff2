"""A map of one camera on rooms and on recordings: placed on the truth wherever it lies."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from seg3r.choices import Placement
from seg3r.datasets.rooms import true_rooms, truth_masks
from seg3r.evaluate.one_camera import map_posed, measure_monocular, place_room
from seg3r.mapper import Mapper
from seg3r.methods.moonseg3r_config import BUNDLED_NUMBERS
from seg3r.presets.bundled import Bundled
from seg3r.presets.mappers import moonseg3r
from seg3r.reconstruct.joined import Joined
from seg3r.reconstruct.sensor import Sensor
from seg3r.segment.saved import SavedMasks
from seg3r.sources import Recording, open_source
from seg3r.types import Frame, View
from tests.evaluate.placed import ORDINARY, VERTICES, ious, mapper_at, moved
from tests.evaluate.placed import WALKED as TRUE_WALK
from tests.loops import Walked
from tests.reconstruct.remembering import Late, Tokens
from tests.worlds import write_recording


@pytest.mark.parametrize("placement", ["unprojected", "aligned"])
def test_with_true_masks_and_geometry_a_room_is_nearly_whole(placement: Placement) -> None:
    config = replace(BUNDLED_NUMBERS, refine=False, memory=False, merge_within=2.0)  # untrained looks merge too much
    rooms = true_rooms("train", 1, 0, 12, (240, 320), "clean")
    answer = measure_monocular(
        rooms, Bundled(), config, masks="truth", reconstruct="sensor", placement=placement
    ).as_json()
    assert answer["AP50"] > 0.6
    assert answer["purity"] > 0.85
    assert answer["settings"]["placement"] == placement
    assert answer["settings"]["scales"] == ([None] if placement == "unprojected" else [pytest.approx(1, abs=1e-3)])
    assert 0 < answer["constant"]["AP"] <= 1


class Elsewhere:
    """A reconstructor that knows where everything is, in a world of its own; it is shown colour alone."""

    def __init__(self, walked: Walked, scale: float) -> None:
        self.frames, self.sensor = {frame.index: frame for frame, _ in walked}, Sensor(0.1 * scale, 8 * scale)

    def __call__(self, frame: Frame) -> tuple[View]:
        assert frame.depth is None and frame.camera is None
        return self.sensor(self.frames[frame.index])

    def finish(self) -> tuple[()]:
        return ()

    def reset(self) -> None:
        pass


def mapper_elsewhere(scale: float, seed: int = 0) -> Mapper:
    walked = moved(scale, seed)
    mapper = mapper_at(walked, scale)
    mapper.reconstruct = Elsewhere(walked, scale)
    return mapper


@pytest.fixture
def posed(tmp_path: Path) -> Recording:
    """The walk whose surface `VERTICES` are."""
    write_recording(tmp_path / "posed", TRUE_WALK)
    return open_source(tmp_path / "posed")


@pytest.mark.parametrize("placement", ["unprojected", "aligned"])
def test_a_recording_is_placed_on_its_truth_wherever_its_map_lies(posed: Recording, placement: Placement) -> None:
    own = map_posed(mapper_at(TRUE_WALK), posed, VERTICES, placement, colour_only=False)
    other = map_posed(mapper_elsewhere(2.0), posed, VERTICES, placement)
    assert len(own.prediction) == len(other.prediction) == len(other.scene) == 4
    assert min(ious(own.prediction, other.prediction)) > 0.98
    assert min(ious(other.prediction, ORDINARY)) > (0.9 if placement == "unprojected" else 0.4)  # reach: 15 cm, not 4
    assert (own.scale, other.scale) == (
        (None, None) if placement == "unprojected" else (pytest.approx(1, abs=1e-6), pytest.approx(0.5, abs=1e-6)))


@pytest.mark.parametrize("placement", ["unprojected", "aligned"])
def test_frames_without_pose_or_depth_place_nothing(posed: Recording, placement: Placement) -> None:
    whole = map_posed(mapper_elsewhere(2.0), posed, VERTICES, placement)
    read = posed.iterate

    def gap(frame: Frame) -> Frame:
        if frame.index in (3, 4):
            return replace(frame, camera=None)
        return replace(frame, depth=None) if frame.index == 7 else frame

    posed.iterate = lambda start=0: map(gap, read(start))  # type: ignore[method-assign]
    gaps = map_posed(mapper_elsewhere(2.0), posed, VERTICES, placement)
    assert gaps.scene.frames == whole.scene.frames == len(TRUE_WALK)
    assert min(ious(gaps.prediction, whole.prediction)) > 0.95
    posed.iterate = lambda start=0: (  # type: ignore[method-assign]
        frame if frame.index < 2 else replace(frame, camera=None) for frame in read(start))
    lost = map_posed(mapper_elsewhere(2.0), posed, VERTICES, placement)
    if placement == "aligned":
        assert lost.scale is not None and math.isnan(lost.scale)
        assert [len(own) for own in lost.prediction.lists()] == [0] * 4
    else:
        assert 0 < len(lost.prediction.vertices) < len(whole.prediction.vertices)


def test_a_room_is_placed_once_for_both_placements() -> None:
    """In one walk, on the way and at the end; the curve is of frames, whoever lags."""
    (room,) = true_rooms("train", 1, 0, 6, (120, 160), "clean")
    mapper = moonseg3r(
        Bundled(), replace(BUNDLED_NUMBERS, refine=False, memory=False),
        reconstruct=Joined(Late(Sensor(), 2), Tokens()),
        segment=SavedMasks(truth_masks(room.recording)),
    )
    placed = place_room(mapper, room, ("unprojected", "aligned"), 7)
    assert all(sorted(by_frame) == [6] for by_frame in placed.predictions.values()), "no frame 7"
    assert mapper.scene.frames == 6 and placed.scale == pytest.approx(1, abs=1e-3)
    for placement in ("unprojected", "aligned"):
        mapped = placed.placed(placement)
        assert mapped.final is placed.predictions[placement][6] and mapped.truth is room.truth
        assert len(mapped.final) > 0
