"""Tasks in words: a tiny world as a visit of SceneFun3D, mapped with true masks, answered by a rule."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from seg3r.errors import InputError
from seg3r.evaluate.grounding import GroundingResult, evaluate_grounding
from seg3r.scene import SceneMap
from seg3r.types import Answer
from tests.datasets import lookalikes
from tests.datasets.table import WALKED, surface
from tests.loops import mapper_of

VISIT = "421254"
THINGS = (2, 3, 4, 5)
"""Annotation a0 is the table, a1 to a3 the boxes on it."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("scenefun3d")
    points, ids = surface()
    annotations = [("rotate", np.flatnonzero(ids == i).tolist()) for i in THINGS]
    tasks = [("touch the table", [0]), ("touch the boxes", [1, 2])]
    lookalikes.write_scenefun3d(root, VISIT, points, annotations, tasks)
    (root / VISIT / "42444946" / "hires_wide").mkdir(parents=True)
    return root


Rule = Callable[[SceneMap, str], list[int]]
"""A map and a task -> rows of its instances, best first."""


def measured(folder: Path, rule: Rule, **options: object) -> GroundingResult:
    def answer(scene: SceneMap, question: str) -> Answer:
        rows = rule(scene, question)
        return Answer(question, tuple(int(scene.ids[r]) for r in rows), tuple(0.9 - 0.1 * i for i in range(len(rows))))

    return evaluate_grounding(
        folder, lambda path, every: [frame for frame, _ in WALKED][:: 1 if path.name == "42444946" else every],
        lambda frames: mapper_of(WALKED), answer, **options,  # type: ignore[arg-type]
    )


def thing_of(scene: SceneMap, thing: int) -> int:
    """Row of the instance with the box most like the thing's."""
    points, ids = surface()
    own = points[ids == thing]
    box = np.concatenate((own.min(0), own.max(0)))
    return int(np.abs(scene.boxes.numpy() - box).sum(1).argmin())


def right(scene: SceneMap, question: str) -> list[int]:
    return [thing_of(scene, i) for i in ((2,) if question.endswith("table") else (3, 4))]


def test_the_right_things_score_well(folder: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    result = measured(folder, right, progress=lambda *told: seen.append(told), settings={"labels": "rule"})
    assert seen == [(VISIT, 1, 1)]
    assert result.ranked.overall.ap50 == pytest.approx(1) and result.constant.overall.ap50 == pytest.approx(1)
    shares = result.as_one_mask
    assert shares["IoU50"] == shares["precision50"] == 1 and 0.6 < shares["mIoU"] < 1
    told = json.loads(json.dumps(result.as_json(), allow_nan=False))
    assert list(told["descriptions"]) == [f"{VISIT}_d0", f"{VISIT}_d1"]
    assert told["descriptions"][f"{VISIT}_d1"]["text"] == "touch the boxes"
    assert told["settings"]["task"] == 2 and told["settings"]["labels"] == "rule"
    assert told["settings"]["protocol"] == "scenefun3d-queries"
    assert set(told["per_scene"]) == set(told["descriptions"])
    lines = result.lines()
    assert lines[0] == "scenefun3d, task 2: 2 descriptions" and lines[1].startswith("instances, ranked: AP ")
    assert "precision50 100.0" in lines[3]


def test_naming_everything_is_found_out(folder: Path) -> None:
    """Every element is hit, so the AP is not 0; as one mask it is too large: poor precision and IoU."""
    result = measured(folder, lambda scene, question: list(range(len(scene))))
    assert 0 < result.ranked.overall.ap25 < 0.9
    assert result.as_one_mask["mIoU"] < measured(folder, right).as_one_mask["mIoU"]


def test_silence_scores_nothing(folder: Path) -> None:
    result = measured(folder, lambda scene, question: [])
    assert result.ranked.overall == (0, 0, 0)
    assert set(result.as_one_mask.values()) == {0.0}


def test_instances_are_named_before_they_are_asked_about(folder: Path) -> None:
    def name(scene: SceneMap) -> None:
        scene.name_votes[int(scene.ids[0])] = {"knob": 1.0}

    def rule(scene: SceneMap, question: str) -> list[int]:
        assert scene.name_votes[int(scene.ids[0])] == {"knob": 1.0}
        return []

    measured(folder, rule, name=name)


def test_what_is_missing_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no scene 9 with truth \(1 of 1 are missing\)"):
        measured(folder, right, scenes=["9"])
    points, _ = surface()
    lookalikes.write_scenefun3d(tmp_path, "7", points, [("rotate", [0])])
    (tmp_path / "7" / "1" / "hires_wide").mkdir(parents=True)
    with pytest.raises(InputError, match="without a description"):
        measured(tmp_path, right)
