"""The preset of large models, from this disk (`seg3r weights fetch`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from seg3r.choices import AnswererName, Geometry, Pool, PresetName
from seg3r.embed.refined_queries import DenseFeatures
from seg3r.language.image_text import ImageText
from seg3r.methods.moonseg3r import MoonSeg3RConfig
from seg3r.models.query_refiner import QueryRefiner, QueryRefinerConfig
from seg3r.presets.device import best_device
from seg3r.presets.language import chat_of
from seg3r.presets.words import ROOM_WORDS
from seg3r.protocols import Chat, Embedder, ImageTextEncoder, Segmenter
from seg3r.reconstruct.cut3r import Cut3rReconstructor, load_cut3r
from seg3r.weights import folder_of, where

DETECTOR, SEGMENTER, EMBEDDER = "grounding-dino-base", "sam2.1-large", "dinov2-large"
"""docs/opentrack3d.md, D-6 and D-7."""
ENCODER, CHAT = "siglip2-base", "qwen2.5-vl-7b"
"""docs/opentrack3d.md, D-13."""
CUT3R, FEATURES = "cut3r-512", "dinov2-large"
"""The paper has DINOv3, which its authors hand out after their licence was accepted (docs/moonseg3r.md, D3)."""
MOONSEG3R = MoonSeg3RConfig()
CATCH_ALL = ("object", "device", "container")
"""Looked for beside the words where nobody gave any (docs/opentrack3d.md, D-8)."""


@dataclass(frozen=True)
class Foundation:
    """Grounding DINO -> SAM 2.1, DINOv2, CUT3R, SigLIP 2 and Qwen2.5-VL."""

    device: str | None = None
    """Of the networks; None: an accelerator where PyTorch sees one."""
    name: PresetName = "foundation"
    geometry: Geometry = "cut3r"
    answerer: AnswererName = "mllm"
    plain_views: bool = True
    moonseg3r: MoonSeg3RConfig = MOONSEG3R
    """The paper's numbers."""

    def detector(self, words: tuple[str, ...] | None) -> Segmenter:
        """Grounding DINO's boxes, SAM's masks."""
        from seg3r.segment.detect import Detector
        from seg3r.segment.grounded import Grounded
        from seg3r.segment.sam2 import Sam2

        looked_for = [*(words or ROOM_WORDS.words), *(CATCH_ALL if words is None else ())]
        return Grounded(Detector(DETECTOR, looked_for, device=self._device), Sam2(SEGMENTER, self._device))

    def mask_generator(self) -> Segmenter:
        """SAM's masks of a grid of points."""
        from seg3r.segment.automatic import Automatic

        return Automatic(SEGMENTER, self._device)

    def embedder(self, pool: Pool) -> Embedder:
        """DINOv2."""
        from seg3r.embed.dino import Dino

        return Dino(EMBEDDER, self._device, over=pool)

    def dense_features(self) -> DenseFeatures:
        """DINOv2."""
        from seg3r.embed.dino import Dino

        return Dino(FEATURES, self._device).dense

    @property
    def refiner_config(self) -> QueryRefinerConfig:
        """The paper's."""
        return QueryRefinerConfig(tokens=0, features=0)

    def query_refiner(self) -> QueryRefiner | None:
        """None is shipped for these features; `seg3r train` makes one."""
        return None

    def cut3r(self, **options: Any) -> Cut3rReconstructor:
        """The released network."""
        return Cut3rReconstructor(load_cut3r(where(CUT3R)), **{"device": self._device, **options})

    def image_text(self) -> ImageTextEncoder:
        """SigLIP 2."""
        return ImageText(folder_of(ENCODER), self._device)

    def chat(self) -> Chat:
        """Qwen2.5-VL."""
        return chat_of(CHAT, self._device)

    @property
    def _device(self) -> str:
        return self.device or best_device()
