"""A method on a data set: a tiny world written as two scenes of ScanNet, mapped with true masks, labelled by a rule."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from seg3r.errors import InputError
from seg3r.evaluate.datasets import DatasetResult, PlacedMap, evaluate_dataset, where_it_lies
from seg3r.mapper import Mapper
from seg3r.reconstruct.sensor import Sensor
from seg3r.scene import SceneMap
from seg3r.sources import open_source
from seg3r.types import Frame
from tests.datasets import lookalikes
from tests.datasets.table import SCENES, WALKED, surface
from tests.loops import mapper_of
from tests.reconstruct.remembering import Late
from tests.worlds import write_recording


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The table is a table, the boxes on it are chairs; the floor is unannotated."""
    root = tmp_path_factory.mktemp("scannet")
    points, ids = surface()
    for scene in SCENES:
        objects = [("table", [2]), *(("chair", [i]) for i in (3, 4, 5))]
        lookalikes.write_scannet(root, scene, points, ids.tolist(), objects)
        write_recording(root / scene, WALKED)
    lookalikes.write_label_table(root)
    return root


def mapper(frames: Iterable[Frame]) -> Mapper:
    return mapper_of(WALKED)


def by_size(scene: SceneMap, names: Sequence[str]) -> torch.Tensor:
    """The largest thing is a table, the others are chairs; nobody is quite sure."""
    labels = torch.zeros(len(scene), len(names))
    labels[:, names.index("chair")], labels[:, names.index("table")] = 0.8, 0.1
    largest = int(scene.sizes.argmax())
    labels[largest, names.index("chair")], labels[largest, names.index("table")] = 0.1, 0.8
    return labels


def only_chairs(scene: SceneMap, names: Sequence[str]) -> torch.Tensor:
    return (torch.arange(len(names)) == names.index("chair")).float().expand(len(scene), -1)


def measured(folder: Path, label: object = by_size, **options: object) -> DatasetResult:
    return evaluate_dataset("scannet200", folder, open_source, mapper, label=label, every=2, **options)  # type: ignore[arg-type]


def test_true_masks_and_true_names_score_well(folder: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    result = measured(folder, progress=lambda *told: seen.append(told))
    assert result.columns is not None
    headline = result.columns["Top-1, ranked"].result
    assert headline.overall.ap25 > 0.9 and result.agnostic.overall.ap25 > 0.9
    assert headline.per_class["table"].ap50 == 1 and not headline.per_class["table"].ap < 0.5
    assert set(headline.per_scene) == set(SCENES)
    assert seen == [(SCENES[0], 1, 2), (SCENES[1], 2, 2)]
    assert result.quality.purity > 0.9
    told = json.loads(json.dumps(result.as_json(), allow_nan=False))
    assert told["settings"] == {
        "dataset": "scannet200", "every": 2, "reach_voxels": 1.5, "labels": True, "scenes": list(SCENES),
    }
    head = told["labelled"]["columns"]["Top-1, ranked"]["groups"]["head"]
    assert head["AP25"] == pytest.approx(headline.overall.ap25)
    lines = result.lines()
    assert lines[0].startswith("scannet200, 2 scenes") and lines[-1].startswith("class-agnostic, ranked: AP ")


def test_wrong_names_cost_the_labelled_measure_alone(folder: Path) -> None:
    right, wrong = measured(folder), measured(folder, only_chairs)
    assert right.columns is not None and wrong.columns is not None
    assert wrong.columns["Top-1, ranked"].result.per_class["table"].ap25 == 0
    assert wrong.agnostic.overall == right.agnostic.overall


def test_without_labels_and_on_a_split(folder: Path) -> None:
    result = measured(folder, None, scenes=[SCENES[1]])
    assert result.columns is None and "labelled" not in result.as_json()
    assert len(result.lines()) == 1
    assert list(result.agnostic.per_scene) == [SCENES[1]]


def test_an_interrupted_measurement_goes_on(folder: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    whole = measured(folder, saved=kept, settings={"method": "m"})
    (kept / f"{SCENES[1]}.npz").unlink()
    opened: list[str] = []

    def watch(path: Path, every: int) -> Iterable[Frame]:
        opened.append(path.name)
        return open_source(path, every)

    again = evaluate_dataset(
        "scannet200", folder, watch, mapper, label=by_size, every=2, saved=kept, settings={"method": "m"}
    )
    assert opened == [SCENES[1]]
    assert again.as_json() == whole.as_json()
    with pytest.raises(InputError, match="other settings"):
        measured(folder, saved=kept, settings={"method": "another"})
    (kept / f"{SCENES[0]}.npz").write_bytes(b"PK")
    with pytest.raises(InputError, match=r"scene0011_00\.npz: cannot be read .* delete it"):
        measured(folder, saved=kept, settings={"method": "m"})


def test_what_a_reconstructor_owes_at_the_end_counts(folder: Path) -> None:
    made: list[Mapper] = []

    def late(frames: Iterable[Frame]) -> Mapper:
        made.append(mapper(frames))
        made[-1].reconstruct = Late(Sensor(), 2)
        return made[-1]

    result = evaluate_dataset("scannet200", folder, open_source, late, label=by_size, scenes=[SCENES[0]], every=2)
    assert made[0].scene.frames == 4
    assert result.as_json() == measured(folder, scenes=[SCENES[0]]).as_json()


def test_maps_may_be_brought_to_the_truth_in_another_way(folder: Path, tmp_path: Path) -> None:
    """How, and by which scale, is kept and told; so is a scene that could not be placed."""
    ran: list[int] = []

    def run(mapper: Mapper, frames: Iterable[Frame], vertices: np.ndarray) -> PlacedMap:
        ran.append(len(ran))
        return replace(where_it_lies(mapper, frames, vertices), scale=0.5 if len(ran) == 1 else math.nan)

    options = {"saved": tmp_path / "kept", "run": run, "settings": {"placement": "aligned"}}
    whole = measured(folder, **options)
    assert whole.settings["scales"] == {SCENES[0]: 0.5, SCENES[1]: None}
    assert "reach_voxels" not in whole.settings
    assert whole.lines()[-2:] == ["placement: aligned", f"too few views to place 1 of the scenes: {SCENES[1]}"]
    assert measured(folder, **options).as_json() == whole.as_json()
    assert len(ran) == 2
    assert whole.agnostic.overall == measured(folder).agnostic.overall


def test_what_is_missing_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no scene scene0000_00 with truth \(1 of 2 are missing\)"):
        measured(folder, scenes=[SCENES[0], "scene0000_00"])
    with pytest.raises(InputError, match="no scene of scannet200 in it; looked for SCENE/"):
        measured(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        measured(tmp_path / "nowhere")
    with pytest.raises(InputError, match="scene scene0011_00: expected label probabilities"):
        measured(folder, lambda scene, names: torch.zeros(len(scene), 3), scenes=[SCENES[0]])
