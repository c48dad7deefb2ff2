"""Views as pictures for models and persons: the same functions make them for training, for answers and for pages."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from PIL import Image, ImageFilter
from torch import Tensor

from seg3r.types import Sighting

CONTOUR = (255, 0, 200)
"""Few things in a room are of this colour."""
SEAM_PX = 5
"""Gaps in a mask of less than this are closed: it is made of the lattice's cells."""
FADE = 0.75
"""How far what lies outside the mask goes towards grey."""
MARGIN = 0.1
"""Share of the box left around a faded thing."""


def contoured(sighting: Sighting) -> UInt8[Tensor, "h w 3"]:
    """The crop with the outline of its mask, two pixels wide, drawn outside: the thing itself stays as it was seen."""
    image = sighting.crop.numpy().copy()
    mask = closed(sighting)
    image[grown(mask, 5) & ~mask] = CONTOUR
    return torch.from_numpy(image)


def faded(sighting: Sighting) -> UInt8[Tensor, "h w 3"]:
    """The thing, cut close, with what lies outside its mask faded to grey: an image encoder has no other way to know
    which thing is meant."""
    mask = closed(sighting)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return sighting.crop
    r0, r1, c0, c1 = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    pad_r, pad_c = 1 + int(MARGIN * (r1 - r0)), 1 + int(MARGIN * (c1 - c0))
    h, w = mask.shape
    cut = slice(max(r0 - pad_r, 0), min(r1 + pad_r, h)), slice(max(c0 - pad_c, 0), min(c1 + pad_c, w))
    image, inside = sighting.crop.numpy()[cut].astype(np.float32), mask[cut][..., None]
    grey = image + FADE * (128 - image)
    return torch.from_numpy(np.where(inside, image, grey).round().astype(np.uint8))


def plain(sighting: Sighting) -> UInt8[Tensor, "h w 3"]:
    """The crop as it was seen: the thing and what is around it."""
    return sighting.crop


def closed(sighting: Sighting) -> Bool[np.ndarray, "h w"]:
    """The mask without the seams between the cells of its lattice."""
    return without_seams(sighting.mask.numpy(), SEAM_PX)


def without_seams(mask: Bool[np.ndarray, "h w"], width: int) -> Bool[np.ndarray, "h w"]:
    """Gaps of less than `width` pixels (odd) are closed."""
    return _filtered(mask, ImageFilter.MaxFilter(width), ImageFilter.MinFilter(width))


def grown(mask: Bool[np.ndarray, "h w"], width: int) -> Bool[np.ndarray, "h w"]:
    """By a square of `width` pixels (odd)."""
    return _filtered(mask, ImageFilter.MaxFilter(width))


def _filtered(mask: Bool[np.ndarray, "h w"], *filters: ImageFilter.RankFilter) -> Bool[np.ndarray, "h w"]:
    image = Image.fromarray(mask.astype(np.uint8) * 255)
    for each in filters:
        image = image.filter(each)
    inside: Bool[np.ndarray, "h w"] = np.asarray(image) > 0
    return inside
