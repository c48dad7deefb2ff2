"""What is told of an answer: the content of its JSON, and what the page shows of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool
from torch import Tensor

from seg3r.errors import InputError
from seg3r.scene import SceneMap
from seg3r.types import Answer


def answer_record(scene: SceneMap, answer: Answer) -> dict[str, Any]:
    """Ready for JSON: question, answers (id, score and name of each instance, best first), text, points (how many the
    mask holds), and mask over the points of the map in their order, that of `scene.ply`: `length`, and `counts`, a text
    of "first count" for each run of points in it, the first point of all being 1. This is how ScanNet++'s tools write
    masks of vertices.

    Raises:
        InputError: an answer to another map.
    """
    mask, names = answer_mask(scene, answer), dict(zip(scene.ids.tolist(), scene.names, strict=True))
    scores = answer.scores if answer.instance_ids else ()
    answers = [
        {"id": i, "score": score, "name": names[i]} for i, score in zip(answer.instance_ids, scores, strict=True)
    ]
    points = int(mask.sum())
    text = answer.text or (f"{points} points." if points and not answers else in_one_line(answers))
    return {"question": answer.question, "answers": answers, "text": text, "points": points, "mask": mask_runs(mask)}


def answer_mask(scene: SceneMap, answer: Answer) -> Bool[Tensor, "n"]:
    """The points an answer means: its mask or, where it has none, all points of its instances.

    Raises:
        InputError: an answer to another map.
    """
    if answer.mask is None:
        return scene.mask_of(answer.instance_ids)
    if len(answer.mask) != scene.point_count:
        raise InputError(
            f"Answer.mask: over {len(answer.mask)} points for a map of {scene.point_count}; ask this map again"
        )
    return answer.mask


def in_one_line(answers: Sequence[Mapping[str, Any]]) -> str:
    """The `answers` of a record in words."""
    if not answers:
        return "Nothing fits."
    first = answers[0]
    others = f" and {len(answers) - 1} more" if len(answers) > 1 else ""
    return f"{first['name'] or 'Instance'} #{first['id']}{others}."


def mask_runs(mask: Bool[Tensor, "n"]) -> dict[str, Any]:
    """`length` and `counts` of a mask, see `answer_record`."""
    edges = np.flatnonzero(np.diff(mask.cpu().numpy().astype(np.int8), prepend=0, append=0))
    runs = np.stack((edges[::2] + 1, edges[1::2] - edges[::2]), 1)
    return {"length": len(mask), "counts": " ".join(map(str, runs.ravel().tolist()))}
