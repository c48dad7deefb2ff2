"""A colour for every instance, and the map painted with them."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float64, Int64, UInt8
from torch import Tensor

from seg3r.scene import SceneMap

_HUE_STEP, _LIGHT_STEP = 0.7548776662466927, 0.5698402909980532
"""1/p and 1/p^2 for the plastic number p: the additive sequence that fills the plane evenly (R2, M. Roberts 2018)."""
_LIGHT = (0.60, 0.82)
_CHROMA = 0.17
"""Wanted; less where sRGB has no such colour. Nowhere near zero at these lightnesses, so no instance is grey."""
_OKLAB_TO_LMS = np.array([
    [1.0, 0.3963377774, 0.2158037573], [1.0, -0.1055613458, -0.0638541728], [1.0, -0.0894841775, -1.2914855480],
])
_LMS_TO_RGB = np.array([
    [4.0767416621, -3.3077115913, 0.2309699292], [-1.2684380046, 2.6097574011, -0.3413193965],
    [-0.0041960863, -0.7034186147, 1.7076147010],
])
"""B. Ottosson, "A perceptual color space for image processing" (Oklab), 2020."""


def instance_colors(ids: Int64[Tensor, "k"]) -> UInt8[Tensor, "k 3"]:
    """sRGB colours that depend on the id alone; neighbouring ids differ most. Equal steps in Oklab, never grey."""
    number = ids.numpy().astype(np.float64)
    hue = 2 * np.pi * ((0.08 + _HUE_STEP * number) % 1)
    lightness = _LIGHT[0] + (_LIGHT[1] - _LIGHT[0]) * ((0.5 + _LIGHT_STEP * number) % 1)
    low, high = np.zeros(len(number)), np.full(len(number), _CHROMA)
    for _ in range(12):  # the largest chroma that sRGB can show
        middle = (low + high) / 2
        linear = _linear_rgb(lightness, middle, hue)
        fits = ((linear >= 0) & (linear <= 1)).all(1)
        low, high = np.where(fits, middle, low), np.where(fits, high, middle)
    linear = _linear_rgb(lightness, low, hue).clip(0, 1)
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return torch.from_numpy(np.rint(255 * srgb).astype(np.uint8))


def _linear_rgb(
    lightness: Float64[np.ndarray, "k"], chroma: Float64[np.ndarray, "k"], hue: Float64[np.ndarray, "k"]
) -> Float64[np.ndarray, "k 3"]:
    lab = np.stack((lightness, chroma * np.cos(hue), chroma * np.sin(hue)), axis=1)
    linear: Float64[np.ndarray, "k 3"] = (lab @ _OKLAB_TO_LMS.T) ** 3 @ _LMS_TO_RGB.T
    return linear


def painted(scene: SceneMap, blend: float = 0.75, dim: float = 0.6) -> UInt8[Tensor, "n 3"]:
    """Every point in the colour of its instance; what belongs to none keeps the colour it was seen in, dimmed.

    Args:
        blend: share of the instance's colour; the rest is what the point was seen in.
        dim: brightness left to points of none.
    """
    seen = scene.colors.numpy().astype(np.float32)
    instance = scene.best_owners.numpy()
    owned = instance >= 0
    paint = instance_colors(scene.ids).numpy()[instance[owned]]
    mixed = dim * seen
    mixed[owned] = blend * paint + (1 - blend) * seen[owned]
    return torch.from_numpy(np.rint(mixed).astype(np.uint8))
