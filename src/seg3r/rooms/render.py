"""Room, Camera -> what the camera sees: colour, depth, instances, classes. Rays by Embree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise

import numpy as np
import torch
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene
from jaxtyping import Float32, Int32, UInt8, UInt16
from torch import Tensor

from seg3r.kernels import shading
from seg3r.rooms import texture
from seg3r.rooms.room import Room
from seg3r.types import Camera

LIGHT_SPACING_M = 0.065
"""Between two points at which light is computed."""
SKY_RAYS = 20
"""Ambient light: rays into the hemisphere of each point."""
REACH_M = 1.4
"""Surroundings farther away do not darken."""
LAMP_SAMPLES, WINDOW_SAMPLES = 6, 8
EDGE_CONTRAST = 16
"""Difference between neighbouring pixels, of 255, from which both are sampled more finely."""
EDGE_SHARE = 0.14
"""At most this share of the pixels is."""
CHUNK = 1 << 17


@dataclass(frozen=True, eq=False)
class Rendered:
    """One view of a room, and its truth."""

    rgb: UInt8[Tensor, "H W 3"]
    depth: Float32[Tensor, "H W"]
    """Distance along the optical axis, metres; exact, of each pixel's centre."""
    instances: UInt16[Tensor, "H W"]
    """Ids of the room's objects, 0 = structure."""
    classes: UInt16[Tensor, "H W"]
    """Places in CLASSES."""
    cosine: Float32[Tensor, "H W"]
    """Between ray and surface normal: 1 = seen head-on."""


class Renderer:
    """Camera -> Rendered. Light is computed at the first picture and kept (about a second)."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self._scene = EmbreeScene()
        TriangleMesh(self._scene, np.ascontiguousarray(room.vertices), np.ascontiguousarray(room.faces))
        a, b, c = (room.vertices[room.faces[:, k]].astype(np.float64) for k in range(3))
        across = np.cross(b - a, c - a)
        across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-12)
        self.face_normals: Float32[np.ndarray, "f 3"] = across.astype(np.float32)
        self._kinds, self._table = texture.texel_table(room.materials)
        self._curve = _tone_curve()

    def render(self, camera: Camera, exposure: float = 1.0, also: Sequence[Camera] = ()) -> Rendered:
        """Everything at once. Pixels on edges are sampled three more times.

        Args:
            camera: in the room's world.
            exposure: factor on the light.
            also: where else the camera was while the shutter was open: colour is the mean over all (motion blur),
                depth and truth are those of `camera`.
        """
        H, W = camera.size
        hit = self._cast(camera)
        face = hit["primID"]
        found = face >= 0
        safe = np.where(found, face, 0)
        depth = np.where(found, hit["tfar"], np.float32(0))
        directions = hit["directions"]
        length = np.sqrt((directions * directions).sum(1))
        cosine = np.abs(np.einsum("ij,ij->i", self.face_normals[safe], directions)) / length
        instances = np.where(found, self.room.face_instance[safe], 0).astype(np.uint16)
        classes = np.where(found, self.room.face_class[safe], 0).astype(np.uint16)
        color = self._shaded(hit, _eye(camera), 1.0 / float(camera.K[0, 0]))
        for other in also:
            color = color + self._shaded(self._cast(other), _eye(other), 1.0 / float(other.K[0, 0]))
        color = (color / np.float32(1 + len(also))).astype(np.float32)
        rgb = np.empty((H * W, 3), np.uint8)
        shading.tone(color, exposure, self._curve, rgb)
        if not also:
            self._smooth(rgb, color, face, camera, exposure)
        return Rendered(
            torch.from_numpy(rgb.reshape(H, W, 3)), torch.from_numpy(depth.reshape(H, W)),
            torch.from_numpy(instances.reshape(H, W)), torch.from_numpy(classes.reshape(H, W)),
            torch.from_numpy(cosine.astype(np.float32).reshape(H, W)),
        )

    def depth_and_instances(
        self, camera: Camera
    ) -> tuple[Float32[np.ndarray, "H W"], Int32[np.ndarray, "H W"]]:
        """Exact depth (0 = nothing) and instance ids, without light."""
        hit = self._cast(camera)
        found = hit["primID"] >= 0
        ids = np.where(found, self.room.face_instance[np.where(found, hit["primID"], 0)], 0).astype(np.int32)
        depth = np.where(found, hit["tfar"], np.float32(0)).astype(np.float32)
        return depth.reshape(camera.size), ids.reshape(camera.size)

    def surface_colors(
        self, face: Int32[np.ndarray, "n"], u: Float32[np.ndarray, "n"], v: Float32[np.ndarray, "n"]
    ) -> UInt8[np.ndarray, "n 3"]:
        """Lit colour of points on the surface, seen head-on from a metre away."""
        hit = {"primID": face, "u": u, "v": v, "tfar": np.ones(len(face), np.float32),
               "directions": -self.face_normals[face]}
        colors = np.empty((len(face), 3), np.uint8)
        shading.tone(self._shaded(hit, np.zeros(3, np.float32), 0.004), 1.0, self._curve, colors)
        return colors

    def _cast(
        self, camera: Camera, pixels: Int32[np.ndarray, "n"] | None = None, offset: tuple[float, float] = (0.0, 0.0)
    ) -> dict[str, np.ndarray]:
        origins, directions = _rays(camera, pixels, offset)
        hit: dict[str, np.ndarray] = self._scene.run(origins, directions, output=1)
        hit["directions"] = directions
        return hit

    def _shaded(
        self, hit: dict[str, np.ndarray], eye: Float32[np.ndarray, "3"], pixel: float
    ) -> Float32[np.ndarray, "n 3"]:
        light, count, start = self.light
        out = np.empty((len(hit["primID"]), 3), np.float32)
        shading.shade(
            hit["primID"], hit["u"], hit["v"], hit["tfar"], hit["directions"], eye, self.room.faces, self.room.normals,
            self.room.coords, self.room.face_material, self._kinds, self._table, light, count, start, self.room.lamp,
            pixel, out,
        )
        return out

    def _smooth(
        self, rgb: UInt8[np.ndarray, "n 3"], color: Float32[np.ndarray, "n 3"], face: Int32[np.ndarray, "n"],
        camera: Camera, exposure: float,
    ) -> None:
        """Average four samples where neighbours differ. Bright light is clipped first: a lamp's edge stays an edge."""
        H, W = camera.size
        steps = np.empty((H, W), np.uint8)
        group = np.where(face >= 0, self.room.face_instance[face], -1).astype(np.int32)
        shading.contrast_map(rgb.reshape(H, W, 3), group.reshape(H, W), steps)
        histogram = np.bincount(steps.ravel(), minlength=256)[::-1].cumsum()[::-1]
        enough = int(np.argmax(histogram <= EDGE_SHARE * H * W))
        pixels = np.flatnonzero(steps.ravel() >= max(EDGE_CONTRAST, enough)).astype(np.int32)
        total = np.minimum(color[pixels] * np.float32(exposure), np.float32(1.2))
        for offset in ((-0.33, -0.27), (0.35, -0.20), (-0.1, 0.37)):
            finer = self._shaded(self._cast(camera, pixels, offset), _eye(camera), 1.0 / float(camera.K[0, 0]))
            total += np.minimum(finer * np.float32(exposure), np.float32(1.2))
        mean = np.empty((len(pixels), 3), np.uint8)
        shading.tone(total * np.float32(0.25), 1.0, self._curve, mean)
        rgb[pixels] = mean

    @cached_property
    def light(self) -> tuple[Float32[np.ndarray, "l 3"], np.ndarray, np.ndarray]:
        """Light at the grid points of every face, subdivisions, and where each face's points start."""
        room = self.room
        count, start = shading.light_grid(room.vertices, room.faces, LIGHT_SPACING_M)
        points, facing = shading.light_points(room.vertices, room.normals, room.faces, count, start)
        light = np.zeros_like(points)
        for a in range(0, len(points), CHUNK):
            part = slice(a, a + CHUNK)
            light[part] = self._light_at(points[part], facing[part])
        area = np.linalg.norm(np.cross(*(room.vertices[room.faces[:, k]] - room.vertices[room.faces[:, 0]]
                                         for k in (1, 2))), axis=1)
        mean = np.array([light[a:b].mean() for a, b in pairwise(start)])
        structure = room.face_instance == 0
        level = float((mean * area)[structure].sum() / area[structure].sum())
        return (light * np.float32(0.62 / level)).astype(np.float32), count, start

    def _light_at(self, points: Float32[np.ndarray, "n 3"], facing: Float32[np.ndarray, "n 3"]) -> np.ndarray:
        """Ambient light as far as the surroundings let it in, the ceiling lamp and the windows, with their shadows."""
        open_sky = np.zeros(len(points), np.float32)
        local = _hemisphere(SKY_RAYS)
        turned = np.empty((len(points), 1, 3), np.float32)
        reach = np.full(len(points), REACH_M, np.float32)
        for ray in local:
            shading.turn_to(facing, ray[None], turned)
            open_sky += self._scene.run(points, turned[:, 0], dists=reach, query="OCCLUDED") < 0
        ambient = np.array([1.0, 0.97, 0.93], np.float32)
        light = ((0.25 + open_sky / SKY_RAYS)[:, None] * (0.42 * ambient)).astype(np.float32)
        for at, axis, color in self._lights():
            towards = at - points
            blocked = self._scene.run(points, towards, dists=np.full(len(points), 0.999, np.float32), query="OCCLUDED")
            shading.add_light(points, facing, at, axis, color, blocked, light)
        return light

    def _lights(self) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Point samples of all lights: position, axis (0 = all directions), colour."""
        room = self.room
        samples = []
        nowhere = np.zeros(3, np.float32)
        warm = np.array([1.0, 0.90, 0.76], np.float32) * np.float32(2.2 / LAMP_SAMPLES)
        for k in range(LAMP_SAMPLES):
            angle = 2 * np.pi * k / LAMP_SAMPLES
            shift = np.array([0.2 * np.cos(angle), 0.2 * np.sin(angle), 0.0], np.float32)
            samples.append((room.lamp + shift, nowhere, warm))
        for pane, height in zip(room.windows, room.window_heights, strict=True):
            half = 2.4 * room.daylight * height * float(np.linalg.norm(pane[1]))
            cool = np.array([0.86, 0.95, 1.0], np.float32) * np.float32(half * 2 / WINDOW_SAMPLES)
            for k in range(WINDOW_SAMPLES):
                along, up = (k % 4 + 0.5) / 2 - 1, (k // 4) - 0.5
                at = pane[0] + pane[1] * along + np.array([0, 0, up * height * 0.5]) + pane[2] * 0.10
                samples.append((at.astype(np.float32), pane[2].astype(np.float32), cool))
        return samples


@lru_cache(maxsize=2)
def renderer_of(room: Room) -> Renderer:
    """The renderer of a room, made once: its light costs more than a few pictures."""
    return Renderer(room)


def _rays(
    camera: Camera, pixels: Int32[np.ndarray, "n"] | None, offset: tuple[float, float]
) -> tuple[Float32[np.ndarray, "n 3"], Float32[np.ndarray, "n 3"]]:
    """Origins and directions with unit step along the optical axis: the distance Embree finds is then the depth."""
    H, W = camera.size
    K, T = camera.K.numpy(), camera.T_world_cam.numpy()
    if pixels is None:
        x = ((np.arange(W) + offset[0] - K[0, 2]) / K[0, 0]).astype(np.float32)
        y = ((np.arange(H) + offset[1] - K[1, 2]) / K[1, 1]).astype(np.float32)
        R = T[:3, :3].astype(np.float32)
        directions = (x[None, :, None] * R[:, 0] + (y[:, None, None] * R[:, 1] + R[:, 2])).reshape(-1, 3)
    else:
        x = ((pixels % W + offset[0] - K[0, 2]) / K[0, 0]).astype(np.float32)
        y = ((pixels // W + offset[1] - K[1, 2]) / K[1, 1]).astype(np.float32)
        R = T[:3, :3].astype(np.float32)
        directions = x[:, None] * R[:, 0] + y[:, None] * R[:, 1] + R[:, 2]
    origins = np.empty_like(directions)
    origins[:] = T[:3, 3].astype(np.float32)
    return origins, directions


def _eye(camera: Camera) -> Float32[np.ndarray, "3"]:
    return camera.T_world_cam[:3, 3].numpy().astype(np.float32)


def _hemisphere(count: int) -> Float32[np.ndarray, "n 3"]:
    """Cosine-weighted directions about +z on a golden spiral."""
    k = np.arange(count)
    r, angle = np.sqrt((k + 0.5) / count), 2.399963229728653 * k
    return np.stack((r * np.cos(angle), r * np.sin(angle), np.sqrt(1 - r * r)), 1).astype(np.float32)


def _tone_curve() -> UInt8[np.ndarray, "n"]:
    """Linear 0..2 to bytes: sRGB's power with a soft shoulder above 0.7."""
    x = np.linspace(0, 2, 8192)
    knee = 0.7
    soft = np.where(x < knee, x, knee + (1 - knee) * (1 - np.exp(-(x - knee) / (1 - knee))))
    return np.round(255 * np.clip(soft, 0, 1) ** (1 / 2.2)).astype(np.uint8)
