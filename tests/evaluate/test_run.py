"""The loop that every measurement runs, and what it says of maps."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from seg3r.datasets.truth import Truth
from seg3r.evaluate.run import MappedRecording, evaluate_maps, follow, mean_quality, predict
from seg3r.metrics.protocol import THINGS
from seg3r.metrics.quality import Quality
from seg3r.reconstruct.sensor import Sensor
from seg3r.scene import SceneMap
from tests.datasets.table import WALKED, surface
from tests.loops import assert_same_map, mapper_of
from tests.reconstruct.remembering import Late

FRAMES = [frame for frame, _ in WALKED]


def true() -> Truth:
    points, ids = surface()
    return Truth(points.astype(np.float32), np.where(ids > 0, 1000 + ids, 0).astype(np.int64))


@pytest.mark.parametrize("lag", [0, 3])
def test_visits_come_on_the_way_with_what_is_there_by_then(lag: int) -> None:
    mapper, seen = mapper_of(WALKED), list[tuple[int, int]]()
    mapper.reconstruct = Late(Sensor(), lag)

    def visit(count: int, scene: SceneMap) -> None:
        assert scene is mapper.refined() and scene is not mapper.scene
        seen.append((count, scene.frames))

    scene = follow(mapper, FRAMES, 3, visit)
    assert seen == [(3, 3 - lag), (6, 6 - lag)] and scene.frames == 8
    whole = mapper_of(WALKED)
    for frame in FRAMES:
        whole.step(frame)
    assert_same_map(scene, whole.refined())


def test_no_visits_unless_asked_for() -> None:
    never = pytest.fail
    assert follow(mapper_of(WALKED), FRAMES, 0, lambda count, scene: never("visited")).frames == 8
    assert follow(mapper_of(WALKED), FRAMES, 3).frames == 8


def mapped(*frames: int, name: str = "table") -> MappedRecording:
    """The table after so many frames."""
    mapper, predictions = mapper_of(WALKED), {}
    for count, frame in enumerate(FRAMES, 1):
        mapper.step(frame)
        if count in frames:
            scene = mapper.refined()
            predictions[count] = predict(scene, true().vertices, 1.5 * scene.voxel_m)
    return MappedRecording(name, true(), predictions, mapper.seconds)


def test_the_final_map_is_that_of_most_views() -> None:
    each = mapped(8, 2, 5)
    assert each.final is each.predictions[8]


def test_maps_of_several_recordings_are_measured_together() -> None:
    both = [mapped(2, 8), mapped(4, 8, name="another")]
    found = evaluate_maps(both, THINGS, True, {"method": "m"}, constant_too=True)
    assert found.result.overall.ap50 == 1
    assert [count for count, _ in found.curve] == [8], "what not every recording has is no point of the curve"
    assert found.curve[-1][1] == pytest.approx(found.result.overall.ap)
    assert found.constant is not None and 0 < found.constant.overall.ap <= 1
    assert found.quality.purity > 0.95
    alone = evaluate_maps(both[:1], THINGS, True, {})
    assert [count for count, _ in alone.curve] == [2, 8] and alone.constant is None
    told = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert told["settings"]["method"] == "m"
    assert told["constant"]["AP"] == pytest.approx(found.constant.overall.ap, abs=1e-4)
    assert told["AP50"] == 1 and told["purity"] == round(found.quality.purity, 4)
    assert "constant" not in alone.as_json()


def test_a_stages_time_is_the_median_of_its_calls() -> None:
    one, other = mapped(8), mapped(8, name="another")
    timed = [
        MappedRecording(m.name, m.truth, m.predictions, {"lift": times, "refine": []})
        for m, times in ((one, [0.001, 0.003]), (other, [0.002, 0.009, 0.002]))
    ]
    found = evaluate_maps(timed, THINGS, True, {})
    assert found.median_ms == {"lift": 2.0}, "a stage that was never called has no time"


def test_the_score_knows_how_sure_a_name_is() -> None:
    mapper = mapper_of(WALKED)
    scene = follow(mapper, FRAMES)
    count, vertices = len(scene), true().vertices
    plain = predict(scene, vertices, 0.03)
    assert plain.labels.tolist() == [1] * count
    sure = predict(scene, vertices, 0.03, list(range(1, count + 1)), [1.0] * count)
    assert sure.labels.tolist() == list(range(1, count + 1))
    assert sure.scores == pytest.approx(plain.scores**0.75)
    assert predict(scene, vertices, 0.03, [1] * count, [0.0] * count).scores.tolist() == [0.0] * count


def test_what_no_recording_knows_is_not_known() -> None:
    nan = math.nan
    mean = mean_quality([Quality(0.5, nan, 1.0), Quality(1.0, nan, nan)])
    assert (mean.purity, mean.fragments) == (0.75, 1.0) and math.isnan(mean.completeness)
