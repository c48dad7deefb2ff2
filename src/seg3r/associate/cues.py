"""How well does a segment fit an instance? Each cue is a matrix: segments by candidate instances."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int32, Int64
from torch import Tensor

from seg3r.geometry import box_iou_3d
from seg3r.scene import SceneMap
from seg3r.types import Segments

ENOUGH = 500
"""About so many points of a segment or an instance, evenly taken, give a percentile well enough."""


def visual_similarity(
    segments: Segments, scene: SceneMap, ids: Int64[Tensor, "c"], wanted: Bool[Tensor, "m c"] | None = None
) -> tuple[Float32[Tensor, "m c"], Bool[Tensor, "m c"]]:
    """Cosine between descriptors: the better of the instance's mean and its gallery of diverse ones
    (docs/opentrack3d.md, 3.4). Second: whether both sides have a descriptor at all.

    Args:
        wanted: pairs worth the work (None: all); the others get 0.
    """
    m, c = len(segments), len(ids)
    if segments.features is None or c == 0:
        return torch.zeros(m, c), torch.zeros(m, c, dtype=torch.bool)
    gallery, count = scene.gallery(ids)
    reliable = segments.features.any(1)[:, None] & gallery[:, 0].any(1)[None, :]
    unused = torch.arange(gallery.shape[1])[None, :] > count[:, None]
    # Double precision: the order of a product's sums is not ours to choose, and no decision may hang on it.
    if wanted is None:
        cosine = torch.einsum("md,cgd->mcg", segments.features.double(), gallery.double()).to(torch.float32)
        return cosine.masked_fill(unused[None], -1.0).amax(dim=2), reliable
    row, column = wanted.numpy().nonzero()
    ours, theirs = segments.features.numpy()[row], gallery.numpy()[column]
    pairs = np.einsum("pd,pgd->pg", ours, theirs, dtype=np.float64).astype(np.float32)
    best = np.zeros((m, c), np.float32)
    best[row, column] = np.where(unused.numpy()[column], np.float32(-1), pairs).max(axis=1)
    return torch.from_numpy(best), reliable


def identity(
    segments: Segments, scene: SceneMap, ids: Int64[Tensor, "c"], oldest: int
) -> tuple[Float32[Tensor, "m c"], Bool[Tensor, "m c"]]:
    """Cosine between identity tokens (MoonSeg3R: state-distribution tokens). Second: whether both sides have one, the
    instance's of frame `oldest` or later."""
    m, c = len(segments), len(ids)
    if segments.identity is None or c == 0:
        return torch.zeros(m, c), torch.zeros(m, c, dtype=torch.bool)
    theirs = scene.pick("identity", ids)
    fresh = theirs.any(1) & (scene.pick("last_frame", ids) >= oldest)
    tokens = torch.nn.functional.normalize(segments.identity, dim=1)
    cosine = tokens @ torch.nn.functional.normalize(theirs, dim=1).T
    return cosine, segments.identity.any(1)[:, None] & fresh[None, :]


def box_overlap(
    segments: Segments, scene: SceneMap, ids: Int64[Tensor, "c"], trim: float = 0.0
) -> Float32[Tensor, "m c"]:
    """IoU of axis-aligned boxes in world (MoonSeg3R). A point stands for its voxel: boxes are half of one wider on
    every side, so that a picture on a wall has a volume.

    Args:
        trim: share of the points left out at either end of each axis, of segments and of instances.
    """
    m = len(segments)
    index = segments.segment_ids[:, None].expand(-1, 3)
    low = torch.full((m, 3), torch.inf).scatter_reduce(0, index, segments.points, "amin")
    high = torch.full((m, 3), -torch.inf).scatter_reduce(0, index, segments.points, "amax")
    ours, theirs = torch.cat((low, high), dim=1), scene.pick("boxes", ids)
    half = scene.voxel_m / 2
    wider = torch.tensor([-half] * 3 + [half] * 3)
    whole = box_iou_3d(ours + wider, theirs + wider)
    if trim == 0 or m == 0:
        return whole
    met = (whole > 0).any(0).nonzero().flatten()  # what lies apart lies apart trimmed, too
    places, owner = scene.some_places(ids[met], ENOUGH)
    theirs = trimmed_boxes(places, owner, len(met), trim)
    sizes = torch.bincount(segments.segment_ids, minlength=m)
    nth = torch.arange(len(segments.points)) % (sizes // ENOUGH).clamp_min(1)[segments.segment_ids] == 0
    ours = trimmed_boxes(segments.points[nth], segments.segment_ids[nth], m, trim)
    whole[:, met] = box_iou_3d(ours + wider, theirs + wider)
    return whole


def trimmed_boxes(
    points: Float32[Tensor, "n 3"], owner: Int64[Tensor, "n"], count: int, trim: float
) -> Float32[Tensor, "{count} 6"]:
    """Between the `trim` and the 1 - `trim` quantile (the nearest point) of each owner's points, axis by axis; empty
    boxes, low above high, for those without points."""
    sizes = torch.bincount(owner, minlength=count)
    first = sizes.cumsum(0) - sizes
    skipped = (trim * (sizes - 1).clamp_min(0)).round().long()
    low, high = torch.full((count, 3), torch.inf), torch.full((count, 3), -torch.inf)
    has = sizes > 0
    for axis in range(3):
        by_place = points[:, axis].argsort(stable=True)
        values = points[by_place[owner[by_place].argsort(stable=True)], axis]
        low[has, axis] = values[(first + skipped)[has]]
        high[has, axis] = values[(first + sizes - 1 - skipped)[has]]
    return torch.cat((low, high), dim=1)


def overlap(
    shared: Int32[Tensor, "m c"], segment_sizes: Int32[Tensor, "m"], instance_sizes: Int32[Tensor, "c"],
    least_evidence: int,
) -> tuple[Float32[Tensor, "m c"], Float32[Tensor, "m c"]]:
    """IoU and containment (intersection over the smaller) of co-visible points (docs/opentrack3d.md, 3.4).

    With fewer than `least_evidence` shared points containment falls back to IoU: a co-visible strip of two points can
    be wholly contained.
    """
    both = shared.to(torch.float32)
    a, b = segment_sizes.to(torch.float32)[:, None], instance_sizes.to(torch.float32)[None, :]
    iou = both / (a + b - both).clamp_min(1)
    contained = torch.where(shared >= least_evidence, both / torch.minimum(a, b).clamp_min(1), iou)
    return iou, contained
