"""Crops and phrases -> unit vectors in one space: the CLIP family, from a folder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float32, UInt8
from torch import Tensor
from torch.nn import functional

from seg3r.errors import InputError
from seg3r.models.images import prepared
from seg3r.text import well_formed
from seg3r.weights.pretrained import SAFELY, checked_folder, fingerprint, quiet, read_json, transformers

IMAGES_AT_ONCE, TEXTS_AT_ONCE = 32, 128
Fit = Literal["pad", "squash"]
_RESAMPLE = {2: "bilinear", 3: "bicubic"}
"""Numbers of PIL's filters in preprocessor_config.json; others are rare enough to be bicubic."""


class ImageText:
    """ImageTextEncoder over SigLIP, SigLIP 2 of fixed resolution, and CLIP, as transformers knows them.

    A crop is squashed to the model's square as SigLIP's own preparation does, or padded to a square first where the
    folder's preprocessor_config.json says `do_pad` or would cut off the ends (`do_center_crop`, CLIP): a crop is of
    one thing, and its ends belong to it.
    """

    def __init__(self, folder: Path | str, device: torch.device | str = "cpu") -> None:
        """
        Args:
            folder: weights in the Hugging Face format; nothing is downloaded.
            device: where the model runs and its vectors are.
        Raises:
            InputError: no such model in the folder.
            MissingExtraError: transformers is not installed.
        """
        module, folder = transformers(), checked_folder(Path(folder))
        with quiet(module):
            config = module.AutoConfig.from_pretrained(folder, **SAFELY)
            if config.model_type not in ("siglip", "clip"):
                raise InputError(
                    f"{folder}: a model of type '{config.model_type}'; expected siglip (also SigLIP 2 of fixed "
                    "resolution) or clip"
                )
            model = module.AutoModel.from_pretrained(folder, use_safetensors=True, dtype=torch.float32, **SAFELY)
            self.tokenizer = module.AutoTokenizer.from_pretrained(folder, **SAFELY)
        self.model = model.to(device).eval().requires_grad_(False)
        self.device = torch.device(device)
        self.name = fingerprint(folder)
        self.independent = config.model_type == "siglip"
        self.scale = math.exp(float(model.logit_scale))
        self.bias = float(model.logit_bias) if self.independent else 0.0
        self.length = int(config.text_config.max_position_embeddings)
        self.size = int(config.vision_config.image_size)
        prepare = read_json(folder / "preprocessor_config.json")
        self.fit: Fit = "pad" if prepare.get("do_pad") or prepare.get("do_center_crop") else "squash"
        self.mean = tuple(float(v) for v in prepare.get("image_mean", (0.5, 0.5, 0.5)))
        self.std = tuple(float(v) for v in prepare.get("image_std", (0.5, 0.5, 0.5)))
        self.mode = _RESAMPLE.get(int(prepare.get("resample", 3)), "bicubic")

    @torch.no_grad()
    def images(self, crops: Sequence[UInt8[Tensor, "_ _ 3"]]) -> Float32[Tensor, "n d"]:
        """Unit vectors, in the order given."""
        parts = []
        for start in range(0, len(crops), IMAGES_AT_ONCE):
            part = crops[start : start + IMAGES_AT_ONCE]
            pixels = prepared_crops(part, self.size, self.fit, self.mean, self.std, self.mode).to(self.device)
            parts.append(image_vectors(self.model, pixels))
        return torch.cat(parts) if parts else self._none()

    @torch.no_grad()
    def texts(self, phrases: Sequence[str]) -> Float32[Tensor, "t d"]:
        """Unit vectors, in the order given; a phrase longer than the model can read loses its end."""
        parts = []
        for start in range(0, len(phrases), TEXTS_AT_ONCE):
            tokens = self._tokens([well_formed(phrase) for phrase in phrases[start : start + TEXTS_AT_ONCE]])
            parts.append(text_vectors(self.model, {k: v.to(self.device) for k, v in tokens.items()}))
        return torch.cat(parts) if parts else self._none()

    def _tokens(self, phrases: list[str]) -> dict[str, Tensor]:
        # SigLIP reads the last position, be it padding, and was trained with all positions filled and none masked.
        padding = "max_length" if self.independent else "longest"
        read = self.tokenizer(phrases, padding=padding, truncation=True, max_length=self.length,
                              padding_side="right", return_tensors="pt")
        return {k: read[k] for k in (["input_ids"] if self.independent else ["input_ids", "attention_mask"])}

    def _none(self) -> Tensor:
        config = self.model.config
        width = config.text_config.projection_size if self.independent else config.projection_dim
        return torch.zeros((0, width), device=self.device)


def prepared_crops(
    crops: Sequence[UInt8[Tensor, "_ _ 3"]],
    size: int,
    fit: Fit,
    mean: Sequence[float],
    std: Sequence[float],
    mode: str = "bicubic",
) -> Float32[Tensor, "n 3 size size"]:
    """Crops as a model wants them: square, resized without aliasing, normalised; padding is `mean`, so 0 after.

    Args:
        fit: `pad` keeps the shape of things, `squash` fills the square.
        mean: of each channel, of values in 0..1.
        std: likewise.
        mode: of the interpolation.
    """
    out = torch.zeros((len(crops), 3, size, size), device=crops[0].device)
    for i, crop in enumerate(crops):
        H, W = crop.shape[:2]
        h, w = (size, size) if fit == "squash" else (max(1, round(size * k / max(H, W))) for k in (H, W))
        top, left = (size - h) // 2, (size - w) // 2
        out[i, :, top : top + h, left : left + w] = prepared(crop, (h, w), (mean, std), mode=mode)[0]
    return out


def image_vectors(model: Any, pixels: Float32[Tensor, "n 3 size size"]) -> Float32[Tensor, "n d"]:
    """What the image half of a model says of prepared crops, unit length."""
    return functional.normalize(model.get_image_features(pixel_values=pixels).pooler_output.float(), dim=-1)


def text_vectors(model: Any, tokens: dict[str, Tensor]) -> Float32[Tensor, "t d"]:
    """What the text half says of tokens, unit length."""
    return functional.normalize(model.get_text_features(**tokens).pooler_output.float(), dim=-1)
