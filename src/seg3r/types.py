"""The nouns: what flows from room to room.

Frozen dataclasses of tensors; each field's annotation is its shape, checked at birth: every named axis must have one
size throughout an object (`m` masks, `n` points, `k` instances, `d` and `s` features, `H W` pixels, `h w` token grid).
The types know no producer and no consumer: a converter belongs to the adapter of whoever produces.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64, Int, UInt8, jaxtyped
from torch import Tensor

from seg3r.errors import InputError

T = TypeVar("T", bound="TensorFields")


@cache
def _annotations(cls: Hashable) -> dict[str, Any]:
    return get_type_hints(cls)


def _matches(value: object, annotation: Any) -> bool:
    if get_origin(annotation) is tuple:
        return isinstance(value, tuple) and all(isinstance(each, get_args(annotation)[0]) for each in value)
    options = get_args(annotation) or (annotation,)
    return any(option is type(None) if value is None else isinstance(value, option) for option in options)


class TensorFields:
    """Shape checks at birth, `to(device)` and nothing else."""

    def __post_init__(self) -> None:
        with jaxtyped("context"):
            for name, annotation in _annotations(type(self)).items():  # type: ignore[arg-type]
                value = getattr(self, name)
                shapes = [a for a in (get_args(annotation) or (annotation,)) if hasattr(a, "dim_str")]
                if shapes and not _matches(value, annotation):
                    expected = " or ".join(f"{a.dtype.__name__}[{a.dim_str}]" for a in shapes)
                    owner, got = type(self).__name__, type(value).__name__
                    if isinstance(value, Tensor):
                        got = f"{str(value.dtype).removeprefix('torch.')}{list(value.shape)}"
                    raise InputError(
                        f"{owner}.{name}: expected {expected}, got {got} (named axes must agree within one {owner})"
                    )

    def to(self: T, device: torch.device | str) -> T:
        """The same object with every tensor on `device`."""
        moved: dict[str, Any] = {}
        for f in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, f.name)
            if isinstance(value, tuple):
                moved[f.name] = tuple(each.to(device) if isinstance(each, Tensor) else each for each in value)
            else:
                moved[f.name] = value.to(device) if isinstance(value, (Tensor, TensorFields)) else value
        return type(self)(**moved)


@dataclass(frozen=True, eq=False)
class Camera(TensorFields):
    """A pinhole camera in the world. OpenCV axes (x right, y down, z forward); integer pixels are pixel centres."""

    K: Float64[Tensor, "3 3"]
    """Intrinsics in pixels of `size`."""
    T_world_cam: Float64[Tensor, "4 4"]
    """Camera to world, metres (or up to scale when monocular). Double precision: worlds may lie far from the origin. Of
    a recording's frame: to its world. From the reconstructor on (`View`, `Keyframe`, `Sighting`): counted from the
    map's origin (`SceneMap.origin`), as is all else that is said to be in world."""
    size: tuple[int, int]
    """(H, W)."""

    def scaled(self, size: tuple[int, int]) -> Camera:
        """The same camera for an image of another size; pixel centres are integers, so corners move by half."""
        sy, sx = size[0] / self.size[0], size[1] / self.size[1]
        K = self.K.clone()
        K[0, :2] *= sx
        K[1, :2] *= sy
        K[0, 2] = (self.K[0, 2] + 0.5) * sx - 0.5
        K[1, 2] = (self.K[1, 2] + 0.5) * sy - 0.5
        return Camera(K, self.T_world_cam, size)


@dataclass(frozen=True, eq=False)
class Frame(TensorFields):
    """One moment of a recording: only what was measured."""

    index: int
    """The recording's own number of the frame (also the name of its files)."""
    time_s: float
    rgb: UInt8[Tensor, "H W 3"]
    depth: Float32[Tensor, "H W"] | None = None
    """Distance along the optical axis in metres, 0 = missing."""
    camera: Camera | None = None


@dataclass(frozen=True, eq=False)
class View(TensorFields):
    """One frame with its geometry: what was inferred."""

    frame: Frame
    camera: Camera
    depth: Float32[Tensor, "H W"]
    """Distance along the optical axis, 0 = none: what "visible" is measured against."""
    points: Float32[Tensor, "H W 3"]
    """In world."""
    confidence: Float32[Tensor, "H W"]
    """0 = do not use."""
    tokens: Float32[Tensor, "h w c"] | None = None
    """Features of the reconstructor, a grid over `window`."""
    state_attention: Float32[Tensor, "s h w"] | None = None
    """How much each state token of a recurrent reconstructor attended to each patch of `window`."""
    window: tuple[int, int, int, int] | None = None
    """Rows and columns (first, first, one past the last) of the image that the reconstructor looked at; None: all of
    it."""


@dataclass(frozen=True, eq=False)
class Masks(TensorFields):
    """What a segmenter saw in one view. Masks may overlap."""

    masks: Bool[Tensor, "m H W"]
    scores: Float32[Tensor, "m"]
    features: Float32[Tensor, "m d"] | None = None
    """How each looks: unit length, or all zero where there is no evidence."""
    identity: Float32[Tensor, "m s"] | None = None
    """How the reconstructor remembers each."""
    names: tuple[str | None, ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_names(self.names, len(self), "Masks")

    def __len__(self) -> int:
        return int(self.masks.shape[0])

    def __getitem__(self, keep: Tensor) -> Masks:
        """Filter or reorder by a bool mask or an index over masks."""
        return Masks(self.masks[keep], self.scores[keep], _pick(self.features, keep), _pick(self.identity, keep),
                     _pick_names(self.names, keep))


@dataclass(frozen=True, eq=False)
class Segments(TensorFields):
    """Masks lifted to points, flat: point i belongs to segment `segment_ids[i]`. A pixel may appear in several."""

    points: Float32[Tensor, "n 3"]
    """In world."""
    colors: UInt8[Tensor, "n 3"]
    segment_ids: Int[Tensor, "n"]
    """Ascending, in 0..m-1."""
    pixels: Int[Tensor, "n 2"]
    """(row, column): the way back to the image."""
    scores: Float32[Tensor, "m"]
    areas: Float32[Tensor, "m"]
    """Pixels of the mask each was lifted from."""
    frame_index: int
    stride: int = 1
    """Pixels lie on every `stride`-th row and column: each stands for a cell of that side."""
    features: Float32[Tensor, "m d"] | None = None
    identity: Float32[Tensor, "m s"] | None = None
    names: tuple[str | None, ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_names(self.names, len(self), "Segments")

    def __len__(self) -> int:
        return int(self.scores.shape[0])


@dataclass(frozen=True, eq=False)
class Matches(TensorFields):
    """Which instance each segment continues. Several segments may continue one (fragments)."""

    instance_ids: Int[Tensor, "m"]
    """-1 = new."""
    scores: Float32[Tensor, "m"]

    def __len__(self) -> int:
        return int(self.scores.shape[0])


@dataclass(frozen=True, eq=False)
class Labels(TensorFields):
    """A name for every instance of a map."""

    names: tuple[str | None, ...]
    """None = none of the vocabulary."""
    scores: Float32[Tensor, "k"]

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_names(self.names, int(self.scores.shape[0]), "Labels")


@dataclass(frozen=True, eq=False)
class Answer(TensorFields):
    """What a question found in a map, best first; nothing when nothing fits."""

    question: str
    instance_ids: tuple[int, ...]
    scores: tuple[float, ...]
    """Of each instance, in 0..1; where no instance is named, of the mask: one number or none."""
    text: str | None = None
    mask: Bool[Tensor, "n"] | None = None
    """Over the map's points: all that the answer points at. Who names instances gives the union of their points; who
    answers with points of its own may name none."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.scores) != len(self.instance_ids) and (self.instance_ids or len(self.scores) > 1):
            raise InputError(f"Answer.scores: {len(self.scores)} for {len(self.instance_ids)} instances")


@dataclass(frozen=True, eq=False)
class Sighting(TensorFields):
    """One of the few best looks at an instance."""

    frame_index: int
    box: tuple[int, int, int, int]
    """Row, column of the first pixel and one past the last."""
    score: float
    area: int
    """Pixels."""
    crop: UInt8[Tensor, "h w 3"]
    """The box with some context, reduced."""
    mask: Bool[Tensor, "h w"]
    """The instance in the crop."""
    direction: Float32[Tensor, "3"]
    """Unit vector from the camera to the instance, in world."""
    camera: Camera
    """Of the whole frame."""


@dataclass(frozen=True, eq=False)
class Prompt(TensorFields):
    """What a multi-modal language model is asked: images first, then words."""

    images: tuple[UInt8[Tensor, "_ _ 3"], ...]
    text: str


@dataclass(frozen=True)
class Reply:
    """What it said."""

    text: str
    confidence: float | None = None
    """Geometric mean of the probabilities of its tokens; None where the model does not tell."""


@dataclass(frozen=True)
class Event:
    """Something that happened in a recording and that a user should know of."""

    frame_index: int
    kind: str
    """started, dropped, lost, found, refused, closed."""
    text: str


@dataclass(frozen=True, eq=False)
class Keyframe(TensorFields):
    """A view worth keeping: enough to ask later what was visible and what was claimed, without the video."""

    frame_index: int
    camera: Camera
    """Of the reduced size."""
    depth: Float[Tensor, "h w"]
    """Reduced, half precision, 0 = none."""
    packed_masks: UInt8[Tensor, "m bytes"]
    """Bits over h*w, eight to a byte, most significant first; `masks` unpacks them."""
    instance_ids: Int[Tensor, "m"]
    """Who each mask was matched to; -1 = nobody."""
    scores: Float[Tensor, "m"] | None = None
    features: Float[Tensor, "m d"] | None = None
    """As of `Masks`; kept in half precision."""
    names: tuple[str | None, ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        h, w = self.camera.size
        got, expected = (*self.depth.shape, self.packed_masks.shape[1]), (h, w, -(-h * w // 8))
        if got != expected:
            raise InputError(
                f"Keyframe: depth and bytes a mask of {list(got)} for a camera of {h}x{w}; expected {list(expected)}"
            )
        _check_names(self.names, len(self), "Keyframe")

    def __len__(self) -> int:
        """Number of masks."""
        return int(self.packed_masks.shape[0])

    @property
    def masks(self) -> Bool[Tensor, "m h w"]:
        """Unpacked anew at each call, on the host."""
        h, w = self.camera.size
        bits = np.unpackbits(self.packed_masks.cpu().numpy(), axis=1, count=h * w)
        return torch.from_numpy(bits.reshape(len(self), h, w).astype(np.bool_))


def pack_masks(masks: Bool[Tensor, "m h w"]) -> UInt8[Tensor, "m bytes"]:
    """What `Keyframe.packed_masks` holds."""
    return torch.from_numpy(np.packbits(masks.flatten(1).cpu().numpy(), axis=1))


def _pick(values: Tensor | None, keep: Tensor) -> Tensor | None:
    return None if values is None else values[keep]


def _pick_names(names: tuple[str | None, ...] | None, keep: Tensor) -> tuple[str | None, ...] | None:
    if names is None:
        return None
    index = keep.nonzero().flatten() if keep.dtype == torch.bool else keep
    return tuple(names[int(i)] for i in index)


def _check_names(names: Sequence[str | None] | None, count: int, owner: str) -> None:
    if names is not None and len(names) != count:
        raise InputError(f"{owner}.names: expected {count} names, got {len(names)}")


def check_camera(camera: Camera, tolerance: float = 1e-3) -> None:
    """Raise InputError unless the camera is one: finite, a rotation, positive focal lengths, a principal point inside.

    Args:
        camera: as read from a recording.
        tolerance: largest deviation of R R^T from the identity (recordings store few digits).
    """
    K, T_world_cam = camera.K, camera.T_world_cam
    if not bool(torch.isfinite(T_world_cam).all()):
        raise InputError("pose is not finite")
    R = T_world_cam[:3, :3]
    error = float((R @ R.T - torch.eye(3, dtype=R.dtype)).abs().max())
    if error > tolerance or float(torch.linalg.det(R)) < 0:
        raise InputError(f"pose is not a rigid motion (R R^T is off the identity by {error:.2g})")
    if float((T_world_cam[3] - torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=R.dtype)).abs().max()) > tolerance:
        raise InputError("pose has a last row other than 0 0 0 1")
    if not bool(torch.isfinite(K).all()) or float(K[0, 0]) <= 0 or float(K[1, 1]) <= 0:
        raise InputError("intrinsics need finite, positive focal lengths")
    H, W = camera.size
    if not (0 < float(K[0, 2]) < W and 0 < float(K[1, 2]) < H) or not math.isclose(float(K[2, 2]), 1.0):
        raise InputError(
            f"intrinsics do not fit the image: principal point ({float(K[0, 2]):.1f}, {float(K[1, 2]):.1f}) "
            f"in an image of {W}x{H}"
        )
