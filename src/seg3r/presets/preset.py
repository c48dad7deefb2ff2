"""What a preset is: an object that holds the parts of one kind. Below this room nobody asks which one it is."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from seg3r.choices import AnswererName, Geometry, Pool, PresetName
from seg3r.embed.refined_queries import DenseFeatures
from seg3r.methods.moonseg3r import MoonSeg3RConfig
from seg3r.models.query_refiner import QueryRefiner, QueryRefinerConfig
from seg3r.protocols import Chat, Embedder, ImageTextEncoder, Segmenter
from seg3r.reconstruct.cut3r import Cut3rReconstructor


@runtime_checkable
class Preset(Protocol):
    """The parts of one kind. A part that is None is the method's own, which needs no weights.

    Every method raises InputError where its weights are not on this disk.
    """

    @property
    def name(self) -> PresetName: ...

    @property
    def device(self) -> str | None:
        """Of its networks; None: the best there is."""
        ...

    @property
    def geometry(self) -> Geometry:
        """Of a single camera, where none is asked for."""
        ...

    @property
    def answerer(self) -> AnswererName:
        """Who answers, where nobody is asked for."""
        ...

    @property
    def plain_views(self) -> bool:
        """Whether its language model is also shown the views without the outline."""
        ...

    @property
    def moonseg3r(self) -> MoonSeg3RConfig:
        """The numbers that go with its features."""
        ...

    def detector(self, words: tuple[str, ...] | None) -> Segmenter | None:
        """Masks of things called so; None: of common indoor things."""
        ...

    def mask_generator(self) -> Segmenter | None:
        """Masks of whatever there is."""
        ...

    def embedder(self, pool: Pool) -> Embedder | None:
        """Descriptors of masks."""
        ...

    def dense_features(self) -> DenseFeatures:
        """Features of an image, a grid."""
        ...

    @property
    def refiner_config(self) -> QueryRefinerConfig:
        """Sizes of a query refiner for its features, but for the widths of what it reads."""
        ...

    def query_refiner(self) -> QueryRefiner | None:
        """None: none is shipped for its features."""
        ...

    def cut3r(self, **options: Any) -> Cut3rReconstructor:
        """Args:
        options: of `Cut3rReconstructor` (`pose`, `reset_every`, `gate`).
        """
        ...

    def image_text(self) -> ImageTextEncoder:
        """Images and phrases in one space."""
        ...

    def chat(self) -> Chat:
        """A multi-modal language model."""
        ...
