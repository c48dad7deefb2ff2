"""The sockets. Structural: a part fits if it can be called so; nobody inherits.

Only three things remember between frames: a Reconstructor, an Embedder and the SceneMap. All else is a function.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from jaxtyping import Float32, Float64, Int64, UInt8
from torch import Tensor

from seg3r.types import Answer, Event, Frame, Labels, Masks, Matches, Prompt, Reply, Segments, View

if TYPE_CHECKING:
    from seg3r.scene import SceneMap


@runtime_checkable
class Reconstructor(Protocol):
    """Frame -> Views: those that became known with this frame, in the order of their frames. Usually its own; none
    while it waits for later frames, several when it catches up. May remember; `reset` forgets."""

    def __call__(self, frame: Frame) -> Sequence[View]: ...

    def finish(self) -> Sequence[View]:
        """What it still owes at the end of a recording."""
        ...

    def reset(self) -> None: ...


@runtime_checkable
class Remembers(Protocol):
    """A Reconstructor or Embedder that carries something from frame to frame, and can put it down and take it up
    again: what a checkpoint keeps of it."""

    def state(self) -> dict[str, Tensor]: ...

    def restore(self, state: dict[str, Tensor]) -> None:
        """Raises InputError for the state of something else."""
        ...


@runtime_checkable
class HasOrigin(Protocol):
    """A Reconstructor whose cameras may come from a world of its own, far from its origin: what it gives is counted
    from `origin` in that world. None: they are those of the frames."""

    @property
    def origin(self) -> Float64[Tensor, "3"] | None: ...


@runtime_checkable
class Lags(Protocol):
    """A Reconstructor that holds frames back until later ones have come."""

    @property
    def waiting(self) -> int:
        """Frames whose view may still come."""
        ...


@runtime_checkable
class Reports(Protocol):
    """A Reconstructor that says what happened on the way: the start, frames lost, scales mended."""

    @property
    def events(self) -> Sequence[Event]: ...


@runtime_checkable
class Observer(Protocol):
    """Sees every view that came into a map, its segments, and the instance that each became."""

    def __call__(self, view: View, segments: Segments, ids: Int64[Tensor, "m"]) -> None: ...


@runtime_checkable
class Segmenter(Protocol):
    """View -> Masks."""

    def __call__(self, view: View) -> Masks: ...


@runtime_checkable
class Embedder(Protocol):
    """View, Masks -> Masks with features. May merge masks; may remember; `reset` forgets."""

    def __call__(self, view: View, masks: Masks) -> Masks: ...

    def reset(self) -> None: ...


@runtime_checkable
class Lifter(Protocol):
    """View, Masks -> Segments: where a pixel becomes a point."""

    def __call__(self, view: View, masks: Masks) -> Segments: ...


@runtime_checkable
class Associator(Protocol):
    """View, Segments, SceneMap -> Matches. Remembers nothing: the scene is its memory."""

    def __call__(self, view: View, segments: Segments, scene: SceneMap) -> Matches: ...


@runtime_checkable
class Refiner(Protocol):
    """SceneMap -> SceneMap. May edit the map it is given; the mapper hands it a copy where the original lives on."""

    def __call__(self, scene: SceneMap) -> SceneMap: ...


@runtime_checkable
class Labeler(Protocol):
    """SceneMap, words -> a name for every instance."""

    def __call__(self, scene: SceneMap, vocabulary: Sequence[str]) -> Labels: ...

    def probabilities(self, scene: SceneMap, vocabulary: Sequence[str]) -> Float32[Tensor, "k c"]:
        """Of each word for each instance."""
        ...


@runtime_checkable
class Answerer(Protocol):
    """SceneMap, question -> Answer."""

    def __call__(self, scene: SceneMap, question: str) -> Answer: ...


# ---- models that stages share ----------------------------------------------------------------------------------------


@runtime_checkable
class ImageTextEncoder(Protocol):
    """Images and phrases in one space (the CLIP family)."""

    name: str
    """Tells one set of weights from another."""
    scale: float
    """logit = scale * cosine + bias."""
    bias: float
    independent: bool
    """True: sigmoid(logit) is the probability that a pair fits (SigLIP). False: only a softmax over phrases means
    anything (CLIP)."""

    def images(self, crops: Sequence[UInt8[Tensor, "_ _ 3"]]) -> Float32[Tensor, "n d"]: ...

    def texts(self, phrases: Sequence[str]) -> Float32[Tensor, "t d"]: ...


@runtime_checkable
class Chat(Protocol):
    """A multi-modal language model. Deterministic: the same prompt gets the same reply."""

    name: str
    """Tells one set of weights from another."""

    def __call__(self, prompts: Sequence[Prompt]) -> list[Reply]: ...
