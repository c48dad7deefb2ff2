"""The preset that works offline on a CPU: weight-free parts, and small weights that come with the package."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from seg3r.choices import AnswererName, Geometry, Pool, PresetName
from seg3r.embed.patches import PatchGrid
from seg3r.embed.refined_queries import DenseFeatures, load_refiner
from seg3r.language.chat import LocalChat
from seg3r.language.image_text import ImageText
from seg3r.methods.moonseg3r_config import BUNDLED_NUMBERS, MoonSeg3RConfig
from seg3r.models.cut3r import Cut3r
from seg3r.models.query_refiner import QueryRefiner, QueryRefinerConfig
from seg3r.presets.device import best_device
from seg3r.protocols import Chat, Embedder, ImageTextEncoder, Segmenter
from seg3r.reconstruct.cut3r import Cut3rReconstructor, load_cut3r
from seg3r.weights.bundled import bundled

SIDE, VIEW_SIDE = 192, 320
"""Long side of the image as the bundled CUT3R sees it, and of its views."""
CONFIDENCE = 1.0
"""The bundled CUT3R's confidence is none to gate by: everything it sees counts."""
PROMPTS_AT_ONCE = 32


@dataclass(frozen=True)
class Bundled:
    """Small parts."""

    device: str | None = None
    """Of the networks; None: an accelerator where PyTorch sees one (the language model: the CPU)."""
    name: PresetName = "bundled"
    geometry: Geometry = "odometry"
    answerer: AnswererName = "nearest"
    plain_views: bool = False
    """The bundled language model knows the prompts it was trained on and no others."""
    moonseg3r: MoonSeg3RConfig = BUNDLED_NUMBERS

    def detector(self, words: tuple[str, ...] | None) -> Segmenter | None:
        """The method's own: the geometric segmenter."""
        return None

    def mask_generator(self) -> Segmenter | None:
        """The method's own: the geometric segmenter."""
        return None

    def embedder(self, pool: Pool) -> Embedder | None:
        """The method's own: descriptors of patches."""
        return None

    def dense_features(self) -> DenseFeatures:
        """Descriptors of patches."""
        return PatchGrid()

    @property
    def refiner_config(self) -> QueryRefinerConfig:
        """Small."""
        return QueryRefinerConfig(tokens=0, features=0, width=128, heads=4, ffn=512, psi=256)

    def query_refiner(self) -> QueryRefiner:
        """Trained with the distillation loss."""
        return bundled_refiner()

    def cut3r(self, **options: Any) -> Cut3rReconstructor:
        """Pose from flow unless told otherwise: the bundled network's own is poor."""
        given: dict[str, Any] = {"pose": "solver", "device": self.device or "cpu", **options}
        return Cut3rReconstructor(
            bundled_cut3r(), side=SIDE, view_side=VIEW_SIDE, least_confidence=CONFIDENCE, layers=2, **given
        )

    def image_text(self) -> ImageTextEncoder:
        """A SigLIP of 3 million parameters."""
        return ImageText(bundled("clip"), self.device or best_device())

    def chat(self) -> Chat:
        """A Qwen2.5-VL of 4 million parameters."""
        return LocalChat(bundled("mllm"), self.device or "cpu", at_once=PROMPTS_AT_ONCE)


def bundled_cut3r() -> Cut3r:
    """The network alone."""
    return load_cut3r(bundled("cut3r"))


def bundled_refiner(distilled: bool = True) -> QueryRefiner:
    """The query refiner; not `distilled`: learnt without the distillation loss (a row of the ablation)."""
    return load_refiner(bundled("refiner" if distilled else "refiner_plain"))
