"""Views worth keeping, chosen by coverage and capped: memory follows the space seen, not the length of the walk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from seg3r.errors import InputError
from seg3r.text import clean_name
from seg3r.types import Camera, Keyframe, Segments, View, pack_masks

WIDTH = 160
"""Columns of a reduced depth map."""
NEAR_M, NEAR_RAD = 0.05, 0.09
"""A view closer than both to a kept one (5 cm, 5 degrees) adds little."""
CAP = 240
"""When so many are kept, the spacing grows by half and they are thinned."""
_REQUIRED = ("K", "T_world_cam", "depth", "masks", "ids")


class Keyframes:
    """A list of keyframes with the rule that admits them."""

    def __init__(self) -> None:
        self._kept: list[Keyframe] = []
        self._places = np.empty((0, 6))
        self._spacing = 1.0

    def __iter__(self) -> Iterator[Keyframe]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)

    def copy(self) -> Keyframes:
        """An independent list (the instance ids in it may change)."""
        copied = Keyframes()
        copied._kept = [replace(k, instance_ids=k.instance_ids.clone()) for k in self._kept]
        copied._places, copied._spacing = self._places.copy(), self._spacing
        return copied

    def at(self, frame_index: int) -> Keyframe:
        """The keyframe of this frame.

        Raises:
            InputError: it is not one; names the nearest that is.
        """
        if not self._kept:
            raise InputError("the map has no keyframes")
        nearest = min(self._kept, key=lambda k: abs(k.frame_index - frame_index))
        if nearest.frame_index != frame_index:
            raise InputError(f"frame {frame_index} is not a keyframe; the nearest is {nearest.frame_index}")
        return nearest

    def offer(self, view: View, segments: Segments, ids: Int64[np.ndarray, "m"]) -> None:
        """Keep this view if it looks from somewhere new."""
        if self._is_near(_place(view.camera), self._places):
            return
        self.append(reduce_view(view, segments, ids))

    def append(self, keyframe: Keyframe) -> None:
        """Keep this one, wherever it looks from; of too many, those go that add little."""
        self._kept.append(keyframe)
        self._places = np.concatenate((self._places, _place(keyframe.camera)[None]))
        if len(self._kept) > CAP:
            self._thin()

    def _is_near(self, place: Float64[np.ndarray, "6"], places: Float64[np.ndarray, "k 6"]) -> bool:
        apart = np.linalg.norm(places[:, :3] - place[:3], axis=1)
        turned = np.arccos(np.clip(places[:, 3:] @ place[3:], -1, 1))
        return bool(((apart < self._spacing * NEAR_M) & (turned < self._spacing * NEAR_RAD)).any())

    def _thin(self) -> None:
        while len(self._kept) > CAP * 3 // 4:
            self._spacing *= 1.5
            keep: list[int] = []
            for i in range(len(self._kept)):
                if not self._is_near(self._places[i], self._places[keep]):
                    keep.append(i)
            self._kept = [self._kept[i] for i in keep]
            self._places = self._places[keep]

    def rename(self, old: int, new: int) -> None:
        """Masks of instance `old` are now those of `new` (-1: of none)."""
        for keyframe in self._kept:
            keyframe.instance_ids[keyframe.instance_ids == old] = new

    def move(self, shift: Float64[Tensor, "3"]) -> None:
        """Count the places of the cameras from `-shift`."""
        self._kept = [replace(k, camera=moved(k.camera, shift)) for k in self._kept]
        self._places[:, :3] += shift.numpy()

    def extend(self, others: Keyframes, renamed: dict[int, int]) -> None:
        """Take over another map's keyframes under its instances' new ids."""
        for k, place in zip(others._kept, others._places, strict=True):
            ids = torch.tensor([renamed.get(int(i), -1) for i in k.instance_ids], dtype=torch.int64)
            self._kept.append(replace(k, instance_ids=ids))
            self._places = np.concatenate((self._places, place[None]))

    def write(self, arrays: dict[str, npt.NDArray[Any]], header: dict[str, Any]) -> None:
        """Add to what is saved."""
        header["keyframes"] = {
            "spacing": self._spacing, "frames": [k.frame_index for k in self._kept],
            "sizes": [list(k.camera.size) for k in self._kept],
            "names": [None if k.names is None else list(k.names) for k in self._kept],
        }
        for i, k in enumerate(self._kept):
            arrays[f"keyframe.{i}.K"] = k.camera.K.numpy()
            arrays[f"keyframe.{i}.T_world_cam"] = k.camera.T_world_cam.numpy()
            arrays[f"keyframe.{i}.depth"] = k.depth.numpy()
            arrays[f"keyframe.{i}.masks"] = k.packed_masks.numpy()
            arrays[f"keyframe.{i}.ids"] = k.instance_ids.numpy()
            if k.scores is not None:
                arrays[f"keyframe.{i}.scores"] = k.scores.numpy()
            if k.features is not None:
                arrays[f"keyframe.{i}.features"] = k.features.numpy()

    @classmethod
    def read(cls, arrays: dict[str, npt.NDArray[Any]], header: dict[str, Any]) -> Keyframes:
        """What `write` wrote; files of format 2 hold neither names nor scores nor features."""
        listed = header["keyframes"]
        names = listed.get("names", [None] * len(listed["frames"]))
        saved = cls()
        for i, (frame, size, named) in enumerate(zip(listed["frames"], listed["sizes"], names, strict=True)):
            required = {n: torch.from_numpy(arrays[f"keyframe.{i}.{n}"]) for n in _REQUIRED}
            scores, features = (arrays.get(f"keyframe.{i}.{n}") for n in ("scores", "features"))
            saved._kept.append(Keyframe(
                int(frame), Camera(required["K"], required["T_world_cam"], (int(size[0]), int(size[1]))),
                required["depth"], required["masks"], required["ids"],
                None if scores is None else torch.from_numpy(scores),
                None if features is None else torch.from_numpy(features),
                None if named is None else tuple(name and clean_name(name) for name in named),
            ))
        saved._spacing = float(listed["spacing"])
        saved._places = np.array([_place(k.camera) for k in saved._kept]).reshape(-1, 6)
        return saved


def _place(camera: Camera) -> Float64[np.ndarray, "6"]:
    """Where a camera stands and which way it looks."""
    pose = camera.T_world_cam.numpy()
    return np.concatenate((pose[:3, 3], pose[:3, 2]))


def moved(camera: Camera, shift: Float64[Tensor, "3"]) -> Camera:
    """The camera, moved in the world without being turned."""
    T_world_cam = camera.T_world_cam.clone()
    T_world_cam[:3, 3] += shift
    return replace(camera, T_world_cam=T_world_cam)


def reduce_view(view: View, segments: Segments, ids: Int64[np.ndarray, "m"]) -> Keyframe:
    """The reduced form of a view: every s-th pixel of its depth (never averaged: that would invent surfaces), and its
    masks with what was known of each."""
    H, W = view.camera.size
    s = max(1, round(W / WIDTH))
    h, w = -(-H // s), -(-W // s)
    K = view.camera.K.clone()
    K[:2] /= s
    depth = view.depth[::s, ::s].to(torch.float16)
    masks = torch.zeros(len(segments), h, w, dtype=torch.bool)
    rows, columns = segments.pixels.numpy().T // s
    masks.numpy()[segments.segment_ids.numpy(), rows, columns] = True
    return Keyframe(
        view.frame.index, Camera(K, view.camera.T_world_cam, (h, w)), depth,
        pack_masks(masks), torch.from_numpy(ids.copy()), segments.scores,
        None if segments.features is None else segments.features.to(torch.float16), segments.names,
    )


def reduce_keyframe(keyframe: Keyframe) -> Keyframe:
    """One from outside in the size and precision of the map's own, its masks matched to nobody: a reduced pixel is a
    mask's if any of its pixels is."""
    s, K = max(1, round(keyframe.camera.size[1] / WIDTH)), keyframe.camera.K.clone()
    K[:2] /= s
    depth = keyframe.depth[::s, ::s].to(torch.float16)
    size = (int(depth.shape[0]), int(depth.shape[1]))
    masks = torch.zeros(len(keyframe), *size, dtype=torch.bool)
    for i, mask in enumerate(keyframe.masks):
        masks[i] = torch.nn.functional.max_pool2d(mask[None, None].float(), s, ceil_mode=True)[0, 0] > 0
    return Keyframe(
        keyframe.frame_index, Camera(K, keyframe.camera.T_world_cam, size), depth,
        pack_masks(masks), torch.full((len(masks),), -1),
        None if keyframe.scores is None else keyframe.scores.to(torch.float32),
        None if keyframe.features is None else keyframe.features.to(torch.float16), keyframe.names,
    )
