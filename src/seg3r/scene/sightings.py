"""The few best looks at an instance, kept as it is seen."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float32, Int64
from PIL import Image
from torch import Tensor

from seg3r.types import Camera, Frame, Segments, Sighting, View

KEEP = 5
"""Best looks kept per instance."""
CROP_PX = 160
"""Longest side of a kept crop."""
CONTEXT = 0.25
"""Share of the box added on each side of a crop (docs/opentrack3d.md, 3.10: the box grown by half)."""
BETTER = 1.15
"""A look replaces another only if it is so much better: crops cost time."""
LARGE_PX = 96**2
"""A look of so many pixels is large enough."""
APART_COS = 0.966
"""Looks from within 15 degrees count as one (docs/opentrack3d.md, 3.9)."""


def cut_sighting(
    frame: Frame, camera: Camera, pixels: Int64[np.ndarray, "n 2"], stride: int, score: float, area: int,
    direction: Float32[Tensor, "3"],
) -> Sighting:
    """Cut one look out of a frame that `camera` took.

    Args:
        pixels: [p 2] (row, column) of the segment, each standing for a cell of `stride` pixels.
    """
    H, W = camera.size
    low, high = pixels.min(0), pixels.max(0) + stride
    box = (int(low[0]), int(low[1]), int(min(high[0], H)), int(min(high[1], W)))
    pad_r, pad_c = int(CONTEXT * (box[2] - box[0])) + 4, int(CONTEXT * (box[3] - box[1])) + 4
    r0, c0, r1, c1 = max(box[0] - pad_r, 0), max(box[1] - pad_c, 0), min(box[2] + pad_r, H), min(box[3] + pad_c, W)
    step = max(1, -(-max(r1 - r0, c1 - c0) // CROP_PX))
    h, w = max((r1 - r0) // step, 1), max((c1 - c0) // step, 1)
    patch = Image.fromarray(frame.rgb[r0 : r0 + h * step, c0 : c0 + w * step].numpy())
    crop = np.asarray(patch.reduce(step) if step > 1 else patch).copy()
    mask = np.zeros((h, w), np.bool_)
    for dr in range(0, stride, step):
        for dc in range(0, stride, step):
            at = (pixels - (r0, c0) + (dr, dc)) // step
            at = at[(at[:, 0] < h) & (at[:, 1] < w)]
            mask[at[:, 0], at[:, 1]] = True
    return Sighting(
        frame.index, box, score, area, torch.from_numpy(crop), torch.from_numpy(mask), direction, camera
    )


def better_sightings(
    stored: tuple[Sighting, ...], score: float, direction: Float32[Tensor, "3"], cut: Callable[[], Sighting]
) -> tuple[Sighting, ...]:
    """The looks worth keeping once there is one of this score; `kept` itself if the new one is not. Best first."""
    if len(stored) == KEEP and score < BETTER * stored[-1].score:
        return stored
    near = [old for old in stored if float(old.direction @ direction) > APART_COS]
    if any(score < BETTER * old.score for old in near):
        return stored
    rest = [old for old in stored if old not in near]
    return tuple(sorted((*rest, cut()), key=lambda look: (-look.score, look.frame_index))[:KEEP])


def look_again(
    stored: tuple[Sighting, ...], view: View, segments: Segments, s: int, own: slice, in_view: int
) -> tuple[Sighting, ...]:
    """The looks at an instance once segment `s` of a view was matched to it: most of it in view, and large
    (docs/opentrack3d.md, 3.9).

    Args:
        own: rows of the segment's points.
        in_view: points of the instance that the view confirms.
    """
    pixels, area = segments.pixels[own].numpy(), float(segments.areas[s])
    score = look_score(in_view, area)
    middle = segments.points[own].mean(0).to(torch.float64) - view.camera.T_world_cam[:3, 3]
    direction = torch.nn.functional.normalize(middle, dim=0).to(torch.float32)
    return better_sightings(
        stored, score, direction,
        lambda: cut_sighting(view.frame, view.camera, pixels, segments.stride, score, int(area), direction),
    )


def look_score(in_view: int, area: float) -> float:
    """How good a look is that shows so many points of an instance on so many pixels."""
    return float(max(in_view, 1) * min(1.0, (area / LARGE_PX) ** 0.5))
