"""A method on every scene of a data set: frames -> map -> the truth's vertices -> labels -> AP in four conventions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float, Float32
from torch import Tensor

from seg3r.datasets.catalogue import Dataset, dataset_called
from seg3r.errors import InputError
from seg3r.evaluate.run import REACH, follow, mean_quality, predict
from seg3r.files import replacing, write_text
from seg3r.mapper import Mapper
from seg3r.metrics.conventions import ConventionTable, four_columns, labelled_scene
from seg3r.metrics.instance_ap import Result, ScenePrediction, evaluate_tables, overlap_table
from seg3r.metrics.quality import Quality, quality
from seg3r.reading import reading
from seg3r.scene import SceneMap
from seg3r.types import Frame

Label = Callable[[SceneMap, Sequence[str]], Float32[Tensor, "k c"]]
"""A map and the names of the classes -> the probability of each for every instance, in the order of `scene.ids`."""
Frames = TypeVar("Frames", bound=Iterable[Frame])


@dataclass(frozen=True, eq=False)
class DatasetResult:
    """What a method scored on a data set."""

    columns: ConventionTable | None
    """With labels; None where nobody gave any."""
    agnostic: Result
    """One class for all, ranked by instance score."""
    constant: Result
    """Likewise, with every confidence 1."""
    quality: Quality
    settings: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """Plain values for a JSON file, NaN as null."""
        return {
            **({} if self.columns is None else {"labelled": self.columns.as_json()}),
            "class_agnostic": self.agnostic.as_json(), "constant": self.constant.overall.as_json(),
            "purity": _rounded(self.quality.purity), "completeness": _rounded(self.quality.completeness),
            "settings": dict(self.settings),
        }

    def lines(self) -> list[str]:
        """For a terminal."""
        overall = self.agnostic.overall
        ap, ap50, ap25 = ("-" if np.isnan(value) else f"{100 * value:.1f}" for value in overall)
        ranked = f"class-agnostic, ranked: AP {ap}, AP50 {ap50}, AP25 {ap25}"
        return [*([] if self.columns is None else [*self.columns.lines(), ""]), ranked, *self._placement()]

    def _placement(self) -> list[str]:
        """How maps came to the truth, where they do not lie in its world, and which could not."""
        if "placement" not in self.settings:
            return []
        lost = [scene for scene, scale in self.settings.get("scales", {}).items() if scale is None]
        return [
            f"placement: {self.settings['placement']}",
            *([f"too few views to place {len(lost)} of the scenes: {', '.join(lost)}"] if lost else []),
        ]


@dataclass(frozen=True, eq=False)
class PlacedMap:
    """A finished map, and what its instances are on the vertices of the truth."""

    scene: SceneMap
    prediction: ScenePrediction
    """In the order of `scene.ids`."""
    scale: float | None = None
    """Of the similarity that brought it there; NaN: too few views for one; None: not by a similarity."""


@dataclass(frozen=True, eq=False)
class _ScenePrediction:
    """What a method predicts of one scene."""

    prediction: ScenePrediction
    labels: Float32[np.ndarray, "k c"] | None
    scale: float | None


def where_it_lies(
    mapper: Mapper, frames: Iterable[Frame], vertices: Float[np.ndarray, "v 3"], reach: float = REACH
) -> PlacedMap:
    """Map a recording whose poses are those of the truth's world."""
    scene = follow(mapper, frames)
    return PlacedMap(scene, predict(scene, vertices, reach * scene.voxel_m))


def evaluate_dataset(
    name: str,
    folder: Path,
    open_frames: Callable[[Path, int], Frames],
    make_mapper: Callable[[Frames], Mapper],
    *,
    label: Label | None = None,
    scenes: Sequence[str] | None = None,
    every: int | None = None,
    reach: float = REACH,
    saved: Path | None = None,
    settings: Mapping[str, Any] | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    run: Callable[[Mapper, Frames, Float[np.ndarray, "v 3"]], PlacedMap] | None = None,
) -> DatasetResult:
    """Measure a method on a data set.

    Args:
        name: one of `DATASETS`.
        folder: the data set.
        open_frames: a scene's folder of frames and the stride -> its frames.
        make_mapper: a fresh mapper for them.
        label: without it only the class-agnostic measure is taken.
        scenes: a split; None: every scene with truth in the folder.
        every: stride over the frames; None: the usual one.
        reach: a vertex belongs to what owns the nearest map point within so many voxels; not with `run`.
        saved: a folder that keeps what was said of each scene: an interrupted measurement goes on where it stopped.
        settings: of the method; what is kept in `saved` under other settings is refused.
        progress: called with (scene, scenes done, scenes) after each.
        run: maps the frames and brings the map to the vertices; None: `where_it_lies`.

    Raises:
        InputError: no scene, one that is not there, or one whose frames or truth cannot be read; `saved` of another
            measurement.
    """
    dataset = dataset_called(name)
    chosen = chosen_scenes(dataset, folder, scenes)
    stride = dataset.every if every is None else every
    identity = {
        "dataset": name, "every": stride, **({"reach_voxels": reach} if run is None else {}),
        "labels": label is not None, **(settings or {}),
    }
    if saved is not None:
        _claim(saved, identity)
    protocol = dataset.protocol
    labelled, agnostic, scales = [], [], dict[str, float | None]()
    run = run or partial(where_it_lies, reach=reach)
    for done, scene in enumerate(chosen, 1):
        truth = dataset.truth(folder, scene)
        finished = None if saved is None else saved / f"{scene}.npz"
        predicted = None if finished is None else _load(finished)
        if predicted is None:
            frames = open_frames(dataset.recording(folder, scene), stride)
            placed = run(make_mapper(frames), frames, truth.vertices)
            probabilities = None if label is None else label(placed.scene, protocol.phrases).cpu().numpy()
            predicted = _ScenePrediction(placed.prediction, probabilities, placed.scale)
        if predicted.scale is not None:
            scales[scene] = _rounded(predicted.scale)
        try:
            agnostic.append(overlap_table(truth.ids, predicted.prediction, protocol, class_agnostic=True))
        except InputError as error:
            raise InputError(f"scene {scene}: {error}") from error
        if predicted.labels is not None:
            labelled.append(labelled_scene(scene, truth.ids, predicted.prediction, predicted.labels, protocol))
        if finished is not None and not finished.is_file():
            _save(finished, predicted)
        if progress is not None:
            progress(scene, done, len(chosen))
    ranked, constant = (
        evaluate_tables(agnostic, chosen, protocol, class_agnostic=True, scores=scores)
        for scores in ("ranked", "constant")
    )
    return DatasetResult(
        None if label is None else four_columns(labelled, protocol), ranked, constant,
        mean_quality([quality(t.shared, t.sizes, t.gt_sizes) for t in agnostic]),
        {**identity, "scenes": list(chosen), **({"scales": scales} if scales else {})},
    )


def chosen_scenes(dataset: Dataset, folder: Path, scenes: Sequence[str] | None) -> list[str]:
    """These scenes of a data set; None: all.

    Raises:
        InputError: none is there, or one of them is not.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give the one that holds {dataset.name}")
    found = dataset.scenes(folder)
    if not found:
        raise InputError(f"{folder}: no scene of {dataset.name} in it; looked for {dataset.looked_for}")
    if scenes is None:
        return found
    if missing := [scene for scene in scenes if scene not in found]:
        raise InputError(
            f"{folder}: no scene {missing[0]} with truth ({len(missing)} of {len(scenes)} are missing); "
            f"looked for {dataset.looked_for}"
        )
    return list(dict.fromkeys(scenes))


def _rounded(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 4)


def _claim(saved: Path, identity: Mapping[str, Any]) -> None:
    """Write down whose results the folder keeps, or refuse it if they are another's."""
    ours, path = json.dumps(identity, sort_keys=True, default=str), saved / "settings.json"
    if path.is_file():
        if path.read_text(encoding="utf-8") != ours:
            raise InputError(f"{saved}: keeps the results of other settings ({path}); give another folder")
        return
    write_text(path, ours)


def _save(path: Path, predicted: _ScenePrediction) -> None:
    prediction = predicted.prediction
    arrays = {"vertices": prediction.vertices, "starts": prediction.starts, "scores": prediction.scores}
    if predicted.labels is not None:
        arrays["labels"] = predicted.labels
    if predicted.scale is not None:
        arrays["scale"] = np.array(predicted.scale, np.float64)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, vertex_count=prediction.vertex_count, **arrays)  # type: ignore[arg-type]


def _load(path: Path) -> _ScenePrediction | None:
    if not path.is_file():
        return None
    with (
        reading(path, "the prediction of a scene", "delete it and measure the scene again"),
        np.load(path, allow_pickle=False) as file,
    ):
        scores = file["scores"]
        prediction = ScenePrediction(
            file["vertices"], file["starts"], int(file["vertex_count"]), np.ones(len(scores), np.int64), scores
        )
        labels, scale = (file[name] if name in file.files else None for name in ("labels", "scale"))
        return _ScenePrediction(prediction, labels, None if scale is None else float(scale))
