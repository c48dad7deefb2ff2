"""Questions about rooms: map, name, ask, and compare with what is true."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

import numpy as np

from seg3r.api.labelling import ROOM_WORDS, LabelsBy, Preset, answerer_of, label_map, namer_of
from seg3r.api.mapping import Progress, make_mapper, masks_from, opentrack3d
from seg3r.api.measuring import CONFIGS
from seg3r.api.truth import TrueRoom, true_rooms, truth_masks
from seg3r.evaluate.benchmarks import SCENEFUN3D, Protocol
from seg3r.evaluate.datasets import GroundingResult, evaluate_grounding
from seg3r.evaluate.instance_ap import ScenePrediction, evaluate_scenes
from seg3r.evaluate.referring import accuracies, judge
from seg3r.evaluate.run import REACH, Truth, predict
from seg3r.label.vocabulary import Vocabulary
from seg3r.rooms import Room, questions
from seg3r.rooms.language import KINDS, Question
from seg3r.scene import SceneMap
from seg3r.segment.saved import Saved
from seg3r.sources import open_source

ASKED = Protocol("asked", (1,), ("answer",), min_region=1, void="wrong")
"""What answers the question is the one class; a mask elsewhere is a false positive."""


@dataclass(frozen=True, eq=False)
class MappedQuestions:
    """A named map, the questions one may ask about it, and the truth."""

    scene: SceneMap
    questions: Sequence[Question]
    things: Sequence[int]
    """What each instance is: an id of the room, 0 = nothing."""
    masks: ScenePrediction
    truth: Truth


def evaluate_questions(
    labels: Literal["nearest", "mllm"] = "nearest",
    preset: Preset = "bundled",
    split: Literal["train", "val", "test"] = "val",
    masks: Literal["geometric", "truth"] = "truth",
    depth: Literal["clean", "noisy"] = "noisy",
    rooms: int = 8,
    frame_count: int = 60,
    size: tuple[int, int] = (240, 320),
    per_kind: int = 8,
    naming: LabelsBy | None = None,
    model: str | None = None,
    start: int = 0,
    progress: Progress | None = None,
    measured: Iterable[TrueRoom] | None = None,
) -> dict[str, Any]:
    """Ask every room of a split the questions of its grammar.

    A question is answered rightly (accuracy) if the first instance named is one of the right things or, where nothing
    is right, none is named. `exact`: exactly the right things. `f1`: of the set. `phrases`: mean over the questions
    that have an answer of the AP of the instances named against the things meant, by their masks.

    Args:
        labels: who answers.
        naming: who names the instances first; None: who answers.
        per_kind: questions of each kind (attribute, relation, function) for a room.
        model: another language model; see `chat_of`.
        measured: rooms that are there already.
    """
    namer, answerer = namer_of(naming or labels, preset, model), answerer_of(labels, preset, model)
    verdicts, phrases, found = [], [], 0
    measured = true_rooms(split, rooms, start, frame_count, size, depth) if measured is None else measured
    for done, room in enumerate(measured, 1):
        asked = _mapped(room, preset, masks, per_kind)
        label_map(asked.scene, namer, ROOM_WORDS)
        place = {instance_id: row for row, instance_id in enumerate(asked.scene.ids.tolist())}
        for question in asked.questions:
            answer = answerer(asked.scene, question.text)
            rows = [place[i] for i in answer.instance_ids]
            verdicts.append(judge(question.kind, [asked.things[r] for r in rows], set(question.answer_ids)))
            if question.answer_ids:
                phrases.append(phrase_ap(asked, question, rows, answer.scores))
        found += len(asked.scene)
        if progress is not None:
            progress(done, found)
    means = accuracies(verdicts, KINDS)
    settings = {
        "labels": labels, "naming": naming or labels, "preset": preset, "split": split, "masks": masks, "depth": depth,
        "rooms": rooms, "frames": frame_count, "size": f"{size[1]}x{size[0]}", "per_kind": per_kind, "model": model,
        "start": start,
    }
    return {
        **{name: {k: _rounded(v) for k, v in each.items()} for name, each in means.items()},
        "phrases": {n: _rounded(fmean(p[i] for p in phrases) if phrases else float("nan"))
                    for i, n in enumerate(("AP", "AP50", "AP25"))},
        "settings": settings,
    }


def evaluate_tasks(
    folder: Path,
    method: str = "opentrack3d",
    preset: Preset = "bundled",
    masks: str | None = None,
    labels: Literal["nearest", "mllm"] = "nearest",
    model: str | None = None,
    scenes: Sequence[str] = (),
    every: int | None = None,
    tick: Callable[[str, int, int], None] | None = None,
) -> GroundingResult:
    """SceneFun3D's task 2: every description of a visit is asked of its map, whose instances are named first by the
    same model, with the nine affordances of task 1.

    Args:
        folder: SceneFun3D.
        labels: who answers.

    Raises:
        InputError: no visit there, frames or truth that cannot be read, or weights that are not on this disk.
    """
    namer, answerer = namer_of(labels, preset, model), answerer_of(labels, preset, model)
    words = Vocabulary(SCENEFUN3D.phrases)
    settings = {"method": method, "preset": preset, "masks": masks, "labels": labels, "model": model}
    return evaluate_grounding(
        folder, lambda path, stride: open_source(str(path), every=stride),
        lambda recording: make_mapper(
            method, preset, words=words.words, segment=masks_from(recording, masks), config=CONFIGS["scenefun3d"]
        ),
        answerer, lambda scene: label_map(scene, namer, words), scenes or None, every, settings=settings, progress=tick,
    )


def phrase_ap(
    asked: MappedQuestions, question: Question, rows: Sequence[int], scores: Sequence[float]
) -> tuple[float, float, float]:
    """AP, AP50, AP25 of the instances named, against the things that a phrase means."""
    thing = asked.truth.ids % 1000
    right = np.where(np.isin(thing, question.answer_ids), 1000 + thing, 0)
    lists = [asked.masks.vertices[asked.masks.starts[r] : asked.masks.starts[r + 1]] for r in rows]
    said = ScenePrediction.from_lists(
        lists, len(right), np.ones(len(rows), np.int64), np.asarray(scores, np.float64)
    )
    result = evaluate_scenes([right], [said], ASKED).overall
    return tuple(0.0 if np.isnan(v) else float(v) for v in result)  # type: ignore[return-value]


def _mapped(
    measured: TrueRoom, preset: Preset, masks: Literal["geometric", "truth"], per_kind: int
) -> MappedQuestions:
    recording, truth = measured.recording, measured.truth
    mapper = opentrack3d(preset, segment=Saved(truth_masks(recording)) if masks == "truth" else None)
    for frame in recording:
        mapper.step(frame)
    scene = mapper.result()
    said = predict(scene, truth.vertices, REACH * scene.voxel_m)
    things = []
    for row in range(len(said)):
        own = truth.ids[said.vertices[said.starts[row] : said.starts[row + 1]]] % 1000
        counts = np.bincount(own, minlength=1)
        things.append(int(counts.argmax()) if len(own) and 2 * counts.max() > len(own) else 0)
    room: Room = recording.room
    visible = {int(i) for i in np.unique(truth.ids % 1000) if i}
    return MappedQuestions(scene, questions(room, visible, room.seed, per_kind), things, said, truth)


def _rounded(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 4)
