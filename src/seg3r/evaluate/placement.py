"""Two ways to bring a map of one camera to the truth; their numbers never stand in one table.

(A) unprojected: what each view gave its pixels to, at the true depth and pose of those pixels: the masks and their
association are measured, the geometry is not. (B) aligned: the map as it is, after the one similarity that brings its
cameras to the true ones. (docs/moonseg3r.md, D1.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64, Int, Int64
from torch import Tensor

from seg3r.errors import InputError
from seg3r.evaluate.run import predict
from seg3r.geometry import invert, nearest_pixels, project, transform
from seg3r.metrics.geometry import Similarity, umeyama
from seg3r.metrics.instance_ap import ScenePrediction
from seg3r.scene import SceneMap
from seg3r.types import Camera, Segments, View

REACH_M = 0.15
"""Of an aligned map: a vertex belongs to what owns the nearest point within so much (OnlineAnySeg)."""
LEAST_VIEWS = 3
"""Place a map: two camera centres leave it to turn about their line."""
VISIBLE_M = 0.05
"""A vertex is seen where the true depth lies within so much of it."""


@dataclass(frozen=True, eq=False)
class ViewAssignment:
    """Which instance each pixel of one view was given to."""

    frame_index: int
    camera: Camera
    """As it was inferred, counted from the map's origin."""
    pixels: Int[Tensor, "n 2"]
    """Rows and columns of the view."""
    ids: Int[Tensor, "n"]
    """Ids of that moment."""
    stride: int


@dataclass
class AssignmentLog:
    """An observer of a mapper that keeps what goes into its map."""

    views: list[ViewAssignment] = field(default_factory=list)

    def __call__(self, view: View, segments: Segments, ids: Int64[Tensor, "m"]) -> None:
        # Every pixel of a long video: short numbers.
        self.views.append(ViewAssignment(
            view.frame.index, view.camera, segments.pixels.short(), ids[segments.segment_ids.long()].int(),
            segments.stride,
        ))


def unprojected(
    scene: SceneMap,
    assigned: Sequence[ViewAssignment],
    seen: Callable[[int], tuple[Float32[Tensor, "H W"], Camera] | None],
    vertices: Float[np.ndarray, "v 3"],
) -> ScenePrediction:
    """Placement (A): every vertex goes to the instance that most views gave it, if they outnumber those that gave it
    to nobody.

    Args:
        scene: the finished map: who became whom, who was dropped, how sure each is.
        seen: frame index -> true depth and true camera; None where they are not known: such a view places nothing.
    """
    row_of = {int(i): row for row, i in enumerate(scene.ids.tolist())}
    votes = np.zeros((len(vertices), len(row_of) + 1), np.int32)  # the last column: nobody
    points = torch.from_numpy(np.ascontiguousarray(vertices)).double()
    for each in assigned:
        known = seen(each.frame_index)
        if known is None:
            continue
        depth, camera = known
        local = transform(invert(camera.T_world_cam), points)
        at, z = project(local, camera.K)
        pixels, inside = nearest_pixels(at, z, camera.size)
        measured = torch.zeros_like(z)
        measured[inside] = depth.double()[pixels[inside, 0], pixels[inside, 1]]
        shown = (inside & ((measured - z).abs() < VISIBLE_M)).nonzero().flatten()
        labels = _labels(each, row_of, scene)
        y, x = (each.camera.size[a] / camera.size[a] / each.stride for a in range(2))
        row = ((pixels[shown, 0] + 0.5) * y).long().clamp_max(labels.shape[0] - 1)
        column = ((pixels[shown, 1] + 0.5) * x).long().clamp_max(labels.shape[1] - 1)
        np.add.at(votes, (shown.numpy(), labels[row, column].numpy()), 1)
    winner = votes.argmax(1) if len(votes) else np.zeros(0, np.int64)
    winner[votes.max(1, initial=0) == 0] = len(row_of)
    lists = [np.flatnonzero(winner == row).astype(np.int64) for row in range(len(row_of))]
    confidence = scene.scores.numpy().astype(np.float64)
    return ScenePrediction.from_lists(lists, len(vertices), np.ones(len(row_of), np.int64), confidence)


def _labels(assigned: ViewAssignment, row_of: dict[int, int], scene: SceneMap) -> Int64[Tensor, "h w"]:
    """Row of the instance at each cell of the lattice that pixels lie on; the number of rows where there is none."""
    h, w = (-(-n // assigned.stride) for n in assigned.camera.size)
    ids, which = torch.unique(assigned.ids, return_inverse=True)
    final = torch.tensor([row_of.get(scene.became(i), len(row_of)) for i in ids.tolist()], dtype=torch.int64)
    labels = torch.full((h, w), len(row_of), dtype=torch.int64)
    cells = torch.div(assigned.pixels, assigned.stride, rounding_mode="floor")
    labels.numpy()[cells[:, 0].numpy(), cells[:, 1].numpy()] = final[which].numpy()  # of two the later
    return labels


def aligned(
    scene: SceneMap, assigned: Sequence[ViewAssignment], true: Callable[[int], Camera | None],
    vertices: Float[np.ndarray, "v 3"],
) -> tuple[ScenePrediction, Similarity]:
    """Placement (B). Second: the similarity from the map's world to the true one.

    Args:
        true: frame index -> true camera; None where it is not known: such a view does not count.

    Raises:
        InputError: fewer than three views.
    """
    pairs = [(each.camera, camera) for each in assigned if (camera := true(each.frame_index)) is not None]
    if len(pairs) < LEAST_VIEWS:
        raise InputError(f"{len(pairs)} views: at least {LEAST_VIEWS} place a map")
    own = centres([camera for camera, _ in pairs]) + scene.origin.numpy()
    similarity = umeyama(own, centres([camera for _, camera in pairs]))
    back = (vertices.astype(np.float64) - similarity.t) @ similarity.R / similarity.scale
    return predict(scene, np.ascontiguousarray(back), REACH_M / similarity.scale), similarity


def centres(cameras: Sequence[Camera]) -> Float64[np.ndarray, "n 3"]:
    """Where cameras stand, in world."""
    where: Float[np.ndarray, "n 3"] = np.array([c.T_world_cam[:3, 3].numpy() for c in cameras], np.float64)
    return where.reshape(-1, 3)
