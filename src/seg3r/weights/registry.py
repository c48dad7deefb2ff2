"""Names of the foundation weights, where they come from, and under which licence."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

from seg3r.errors import InputError


@dataclass(frozen=True)
class Entry:
    """One set of weights on the Hugging Face hub."""

    repo: str
    use: str
    """detect, segment, embed, reconstruct, image-text or chat."""
    licence: str
    """Of the weights; "see the model card" where the repository names none."""
    megabytes: int
    """About; what a fetch takes on disk."""
    gated: bool = False
    """The hub hands it out after its licence was accepted, to who is logged in."""
    revision: str = "main"
    page: str | None = None
    """Where its authors hand out a pickle, no safetensors: the user downloads that and converts it."""
    file: str = ""
    """What it is called there."""


_APACHE = "Apache-2.0"
_SAM3, _DINOV3 = "SAM License (Meta)", "DINOv3 License (Meta)"
_QWEN = "Qwen Research License (non-commercial)"

REGISTRY: Mapping[str, Entry] = {
    "grounding-dino-tiny": Entry("IDEA-Research/grounding-dino-tiny", "detect", _APACHE, 690),
    "grounding-dino-base": Entry("IDEA-Research/grounding-dino-base", "detect", _APACHE, 940),
    "mm-grounding-dino-tiny": Entry(
        "openmmlab-community/mm_grounding_dino_tiny_o365v1_goldg_v3det", "detect", _APACHE, 700
    ),
    "mm-grounding-dino-base": Entry("openmmlab-community/mm_grounding_dino_base_all", "detect", _APACHE, 940),
    "mm-grounding-dino-large": Entry("openmmlab-community/mm_grounding_dino_large_all", "detect", _APACHE, 1400),
    "owlv2-base": Entry("google/owlv2-base-patch16-ensemble", "detect", _APACHE, 620),
    "owlv2-large": Entry("google/owlv2-large-patch14-ensemble", "detect", _APACHE, 1750),
    "sam2.1-tiny": Entry("facebook/sam2.1-hiera-tiny", "segment", _APACHE, 160),
    "sam2.1-small": Entry("facebook/sam2.1-hiera-small", "segment", _APACHE, 190),
    "sam2.1-base": Entry("facebook/sam2.1-hiera-base-plus", "segment", _APACHE, 330),
    "sam2.1-large": Entry("facebook/sam2.1-hiera-large", "segment", _APACHE, 900),
    "sam3": Entry("facebook/sam3", "segment", _SAM3, 3500, gated=True),
    "sam-base": Entry("facebook/sam-vit-base", "segment", _APACHE, 380),
    "sam-large": Entry("facebook/sam-vit-large", "segment", _APACHE, 1250),
    "sam-huge": Entry("facebook/sam-vit-huge", "segment", _APACHE, 2600),
    "dinov2-small": Entry("facebook/dinov2-small", "embed", _APACHE, 90),
    "dinov2-base": Entry("facebook/dinov2-base", "embed", _APACHE, 350),
    "dinov2-large": Entry("facebook/dinov2-large", "embed", _APACHE, 1220),
    "dinov3-small": Entry("facebook/dinov3-vits16-pretrain-lvd1689m", "embed", _DINOV3, 90, gated=True),
    "dinov3-base": Entry("facebook/dinov3-vitb16-pretrain-lvd1689m", "embed", _DINOV3, 350, gated=True),
    "dinov3-large": Entry("facebook/dinov3-vitl16-pretrain-lvd1689m", "embed", _DINOV3, 1220, gated=True),
    "cut3r-512": Entry(
        "CUT3R/CUT3R", "reconstruct", "CC BY-NC-SA 4.0 (non-commercial)", 2980,
        page="the README of github.com/CUT3R/CUT3R", file="cut3r_512_dpt_4_64.pth",
    ),
    "siglip2-base": Entry("google/siglip2-base-patch16-224", "image-text", _APACHE, 1550),
    "siglip2-so400m": Entry("google/siglip2-so400m-patch14-384", "image-text", _APACHE, 4600),
    "clip-base": Entry("openai/clip-vit-base-patch32", "image-text", "MIT", 610),
    "clip-large": Entry("openai/clip-vit-large-patch14", "image-text", "MIT", 1720),
    "qwen2.5-vl-3b": Entry("Qwen/Qwen2.5-VL-3B-Instruct", "chat", _QWEN, 7600),
    "qwen2.5-vl-7b": Entry("Qwen/Qwen2.5-VL-7B-Instruct", "chat", _APACHE, 16700),
    "qwen3-vl-2b": Entry("Qwen/Qwen3-VL-2B-Instruct", "chat", _APACHE, 4300),
    "qwen3-vl-4b": Entry("Qwen/Qwen3-VL-4B-Instruct", "chat", _APACHE, 8900),
    "qwen3-vl-8b": Entry("Qwen/Qwen3-VL-8B-Instruct", "chat", _APACHE, 17600),
}


def entry(name: str) -> Entry:
    """What is known of `name`.

    Raises:
        InputError: no such name.
    """
    if name not in REGISTRY:
        near = difflib.get_close_matches(name, REGISTRY, n=3, cutoff=0.4)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise InputError(f"no weights are called '{name}'{hint} (`seg3r weights list` names all)")
    return REGISTRY[name]
