"""An answer about a map, on the vertices of the truth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int64

from seg3r.describe.answers import answer_mask
from seg3r.scene import SceneMap
from seg3r.types import Answer


def named_things(
    scene: SceneMap, answer: Answer, instances: Sequence[Int64[np.ndarray, "..."]], nearest: Int64[np.ndarray, "v"]
) -> tuple[list[Int64[np.ndarray, "..."]], list[float]]:
    """Vertices and score of each thing that an answer names: of its instances; of one that names none, of its mask (1
    where it has no score), if that holds a point.

    Args:
        instances: vertices of each instance of the map.
        nearest: map point nearest to each vertex, or -1.
    """
    if answer.instance_ids or answer.mask is None or not bool(answer.mask.any()):
        place = {instance_id: row for row, instance_id in enumerate(scene.ids.tolist())}
        return [instances[place[i]] for i in answer.instance_ids], list(answer.scores[: len(answer.instance_ids)])
    own = np.flatnonzero(on_vertices(answer_mask(scene, answer).numpy(), nearest))
    return [own], list(answer.scores) or [1.0]


def on_vertices(mask: Bool[np.ndarray, "n"], nearest: Int64[np.ndarray, "v"]) -> Bool[np.ndarray, "v"]:
    """The vertices whose nearest map point is in the mask."""
    # One more point than there are: row -1 finds "no" there.
    found: Bool[np.ndarray, "v"] = np.append(mask, False)[nearest]
    return found
