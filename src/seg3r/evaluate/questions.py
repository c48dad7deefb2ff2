"""Questions about rooms: map, name, ask, and compare with what is true."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
from jaxtyping import Int64

from seg3r.choices import MaskSource
from seg3r.datasets.rooms import TrueRoom, truth_masks
from seg3r.datasets.truth import Truth
from seg3r.describe.answers import answer_mask
from seg3r.evaluate.answers import named_things, on_vertices
from seg3r.evaluate.run import REACH, Progress, follow, predict
from seg3r.label.label_map import label_map
from seg3r.metrics.instance_ap import ScenePrediction, evaluate_scenes
from seg3r.metrics.majority import majority_labels
from seg3r.metrics.protocol import Protocol
from seg3r.metrics.referring import accuracies, judge, one_mask, share_reaching
from seg3r.metrics.transfer import nearest_points
from seg3r.presets.mappers import opentrack3d
from seg3r.presets.preset import Preset
from seg3r.presets.words import ROOM_WORDS
from seg3r.protocols import Answerer, Labeler
from seg3r.rooms import questions
from seg3r.rooms.language import KINDS, Question
from seg3r.scene import SceneMap
from seg3r.segment.saved import SavedMasks
from seg3r.types import Answer

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
    nearest: Int64[np.ndarray, "v"]
    """Map point nearest to each vertex of the truth, or -1."""


    def things_named(self, answer: Answer, named: Sequence[Int64[np.ndarray, "..."]]) -> list[int]:
        """What each thing is that an answer named (with these vertices), as of `things`."""
        if not answer.instance_ids:
            return majority_labels(named, self.truth.ids % 1000)
        place = {instance_id: row for row, instance_id in enumerate(self.scene.ids.tolist())}
        return [self.things[place[i]] for i in answer.instance_ids]


def measure_questions(
    rooms: Iterable[TrueRoom],
    preset: Preset,
    labeler: Labeler,
    answerer: Answerer,
    *,
    masks: MaskSource = "truth",
    per_kind: int = 8,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Ask every room the questions of its grammar.

    A question is answered rightly (accuracy) if the first instance named is one of the right things or, where nothing
    is right, none is named. `exact`: exactly the right things. `f1`: of the set. `phrases`: mean over the questions
    that have an answer of the AP of the instances named against the things meant, by their masks. `masks`: of these
    questions, IoU of all that the answer means (`Answer.mask`) with all that is meant: mean, and share that reaches a
    half and a quarter. An answer that names no instance and has a mask is judged by that mask, as one thing named.

    Args:
        labeler: names the instances first.
        per_kind: questions of each kind (attribute, relation, function) for a room.
    """
    verdicts, phrases, ious, found = [], [], [], 0
    for done, room in enumerate(rooms, 1):
        asked = _mapped(room, preset, masks, per_kind)
        label_map(asked.scene, labeler, ROOM_WORDS)
        for question in asked.questions:
            answer = answerer(asked.scene, question.text)
            named, scores = named_things(asked.scene, answer, asked.masks.lists(), asked.nearest)
            verdicts.append(judge(question.kind, asked.things_named(answer, named), set(question.answer_ids)))
            if question.answer_ids:
                phrases.append(phrase_ap(asked, question, named, scores))
                ious.append(answer_iou(asked, question, answer))
        found += len(asked.scene)
        if progress is not None:
            progress(done, found)
    means = accuracies(verdicts, KINDS)
    return {
        **{name: {k: _rounded(v) for k, v in each.items()} for name, each in means.items()},
        "phrases": {n: _rounded(fmean(p[i] for p in phrases) if phrases else float("nan"))
                    for i, n in enumerate(("AP", "AP50", "AP25"))},
        "masks": {"mIoU": _rounded(share_reaching(ious)), "IoU50": _rounded(share_reaching(ious, 0.5)),
                  "IoU25": _rounded(share_reaching(ious, 0.25))},
    }


def phrase_ap(
    asked: MappedQuestions, question: Question, named: Sequence[Int64[np.ndarray, "..."]], scores: Sequence[float]
) -> tuple[float, float, float]:
    """AP, AP50, AP25 of what was named (vertices of each), against the things that a phrase means."""
    thing = asked.truth.ids % 1000
    right = np.where(np.isin(thing, question.answer_ids), 1000 + thing, 0)
    predicted = ScenePrediction.from_lists(
        list(named), len(right), np.ones(len(named), np.int64), np.asarray(scores, np.float64)
    )
    result = evaluate_scenes([right], [predicted], ASKED).overall
    return tuple(0.0 if np.isnan(v) else float(v) for v in result)  # type: ignore[return-value]


def answer_iou(asked: MappedQuestions, question: Question, answer: Answer) -> float:
    """IoU of all that an answer means with all that the question means, over the annotated vertices."""
    thing = asked.truth.ids % 1000
    meant, counted = np.isin(thing, question.answer_ids), asked.truth.ids > 0
    predicted = on_vertices(answer_mask(asked.scene, answer).numpy(), asked.nearest)
    return one_mask(predicted[counted], meant[counted]).iou


def _mapped(room: TrueRoom, preset: Preset, masks: MaskSource, per_kind: int) -> MappedQuestions:
    recording, truth = room.recording, room.truth
    segment = SavedMasks(truth_masks(recording)) if masks == "truth" else None
    scene = follow(opentrack3d(preset, segment=segment), recording)
    prediction = predict(scene, truth.vertices, REACH * scene.voxel_m)
    instance = truth.ids % 1000
    visible = {int(i) for i in np.unique(instance) if i}
    asked = questions(recording.room, visible, recording.room.seed, per_kind)
    nearest = nearest_points(scene.points.numpy(), scene.from_origin(truth.vertices), REACH * scene.voxel_m)
    return MappedQuestions(scene, asked, majority_labels(prediction.lists(), instance), prediction, truth, nearest)


def _rounded(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 4)
