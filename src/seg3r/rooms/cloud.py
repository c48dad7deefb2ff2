"""Room -> labelled points, evenly over all surfaces, and which of them a walk has seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int32

from seg3r.kernels import rooms as kernels
from seg3r.rooms.render import renderer_of
from seg3r.rooms.room import Room
from seg3r.types import Camera

TOLERANCE_M = 0.025
WIDTH = 320
"""Pictures wider than this are made smaller to look for points."""


@dataclass(frozen=True, eq=False)
class SurfaceSamples:
    """Points on the faces of a room."""

    points: Float32[np.ndarray, "n 3"]
    face: Int32[np.ndarray, "n"]
    u: Float32[np.ndarray, "n"]
    """Weight of the face's second corner."""
    v: Float32[np.ndarray, "n"]
    """Of its third."""


def sample_surface(room: Room, spacing_m: float) -> SurfaceSamples:
    """One point for every `spacing_m`^2 of surface, in the order of the faces; in each face on the additive sequence
    of M. Roberts (R2, 2018). Draws nothing."""
    a, b, c = (room.vertices[room.faces[:, k]].astype(np.float64) for k in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2
    total = np.cumsum(area)
    face = np.searchsorted(total, (np.arange(int(total[-1] / spacing_m**2)) + 0.5) * spacing_m**2, side="right")
    first = np.searchsorted(face, face, side="left")
    k = np.arange(len(face)) - first
    u, v = (0.5 + k * 0.7548776662466927) % 1, (0.5 + k * 0.5698402909980532) % 1
    over = u + v > 1
    u, v = np.where(over, 1 - u, u), np.where(over, 1 - v, v)
    points = a[face] * (1 - u - v)[:, None] + b[face] * u[:, None] + c[face] * v[:, None]
    return SurfaceSamples(points.astype(np.float32), face.astype(np.int32), u.astype(np.float32), v.astype(np.float32))


def seen_by(room: Room, samples: SurfaceSamples, cameras: Sequence[Camera]) -> Bool[np.ndarray, "n"]:
    """Which points at least one camera sees: facing it, within 2.5 cm of the exact depth, on the instance it shows."""
    renderer = renderer_of(room)
    normals = renderer.face_normals[samples.face]
    leaves = np.array([m.pattern == "leaf" for m in room.materials])
    two_sided = leaves[room.face_material[samples.face]]
    owner = room.face_instance[samples.face]
    seen = np.zeros(len(samples.points), np.bool_)
    for camera in cameras:
        small = camera
        if camera.size[1] > WIDTH:
            small = camera.scaled((max(1, round(camera.size[0] * WIDTH / camera.size[1])), WIDTH))
        depth, ids = renderer.depth_and_instances(small)
        T = np.linalg.inv(small.T_world_cam.numpy())
        K = small.K.numpy()
        kernels.confirm(
            samples.points, normals, two_sided, owner, np.ascontiguousarray(T[:3, :3]), np.ascontiguousarray(T[:3, 3]),
            float(K[0, 0]), float(K[1, 1]), float(K[0, 2]), float(K[1, 2]), depth, ids, TOLERANCE_M, seen,
        )
    return seen


def labelled_cloud(
    room: Room, cameras: Sequence[Camera], spacing_m: float = 0.015
) -> tuple[
    Float32[np.ndarray, "n 3"], Int32[np.ndarray, "n"], Int32[np.ndarray, "n"], Bool[np.ndarray, "n"]
]:
    """Points on all surfaces, their instance ids (0 = structure) and class ids, and whether the cameras saw them.

    The truth of an evaluation is what was seen: as with a mesh that was reconstructed from the recording.
    """
    samples = sample_surface(room, spacing_m)
    seen = seen_by(room, samples, cameras)
    return samples.points, room.face_instance[samples.face], room.face_class[samples.face], seen
