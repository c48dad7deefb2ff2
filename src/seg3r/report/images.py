"""Pictures for the page, as data URLs."""

from __future__ import annotations

import base64
import io

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from seg3r.describe.crops import grown, without_seams
from seg3r.types import Sighting

CROP_PX = 176
"""Longest side of a crop on the page."""
SEAM_PX = 9
"""Gaps in a mask of less than this are closed."""


def jpeg_url(image: UInt8[np.ndarray, "H W 3"], quality: int) -> str:
    """JPEG in base64."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def outlined(sighting: Sighting, color: UInt8[np.ndarray, "3"]) -> UInt8[np.ndarray, "H W 3"]:
    """The crop with the outline of its mask drawn just outside the mask: the thing itself stays as it was seen."""
    h, w = sighting.mask.shape
    scale = CROP_PX / max(h, w, 1)
    size = max(round(w * scale), 1), max(round(h * scale), 1)
    image = np.array(Image.fromarray(sighting.crop.numpy()).resize(size, Image.Resampling.BICUBIC))
    flat = Image.fromarray(sighting.mask.numpy().astype(np.uint8) * 255).resize(size, Image.Resampling.BILINEAR)
    # The mask is made of the lattice's cells: seams between them are no outline.
    mask = without_seams(np.asarray(flat) > 127, SEAM_PX)
    line, rim = grown(mask, 5), grown(mask, 7)
    image[rim & ~line] = image[rim & ~line] // 3  # a dark rim keeps a light line readable on light things
    image[line & ~mask] = color
    return image
