"""A hall of boxes for timing the map: 200 things, a walk of any length through it that sees all in its first lap."""

from __future__ import annotations

import numpy as np
import torch
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene

from seg3r.geometry import look_at
from seg3r.types import Camera, Frame, Masks

FLOOR_M = (8.4, 6.4)
THINGS = 200
LAP = 180
"""Steps of one round."""
LEAST_PX = 300
"""A thing in view has so many pixels."""


class Hall:
    """Boxes of 14 to 50 cm on a floor, ray-cast at 640x480; every box is a thing with a mask."""

    def __init__(self, seed: int, size: tuple[int, int] = (480, 640)) -> None:
        rng = np.random.default_rng(seed)
        columns, rows = 20, 10
        grid = np.stack(np.meshgrid(np.arange(columns), np.arange(rows), indexing="ij"), -1).reshape(-1, 2)
        centre = (grid + 0.5) * (FLOOR_M[0] / columns, FLOOR_M[1] / rows) + rng.uniform(-0.04, 0.04, (THINGS, 2))
        half = rng.uniform(0.07, 0.15, (THINGS, 2))
        height = rng.uniform(0.15, 0.5, THINGS)
        low = np.concatenate((centre - half, np.zeros((THINGS, 1))), 1)
        high = np.concatenate((centre + half, height[:, None]), 1)
        low = np.concatenate(([[-1, -1, -0.1]], low))
        high = np.concatenate(([[FLOOR_M[0] + 1, FLOOR_M[1] + 1, 0]], high))
        corner = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]])
        side = np.array([[0, 2, 1], [0, 3, 2], [4, 5, 6], [4, 6, 7], [0, 1, 5], [0, 5, 4], [1, 2, 6], [1, 6, 5],
                         [2, 3, 7], [2, 7, 6], [3, 0, 4], [3, 4, 7]])
        vertices = (low[:, None] + corner * (high - low)[:, None]).reshape(-1, 3).astype(np.float32)
        faces = (side + 8 * np.arange(len(low))[:, None, None]).reshape(-1, 3).astype(np.int32)
        self._scene = EmbreeScene()
        self._mesh = TriangleMesh(self._scene, vertices, faces)
        self._palette = rng.integers(40, 255, (len(low), 3)).astype(np.uint8)
        self._noise = rng
        self._size = size
        v, u = np.mgrid[0 : size[0], 0 : size[1]]
        f = 0.82 * size[1]
        self._K = np.array([[f, 0, (size[1] - 1) / 2], [0, f, (size[0] - 1) / 2], [0, 0, 1]])
        self._rays = np.stack(((u - self._K[0, 2]) / f, (v - self._K[1, 2]) / f, np.ones(size)), -1).reshape(-1, 3)

    def camera(self, t: int) -> Camera:
        """Step t of a walk round the middle of the hall, looking across it: 5 cm and 2 degrees a step, never twice the
        same."""
        lap = 2 * np.pi * t / LAP
        middle = np.array(FLOOR_M) / 2
        ellipse = middle * (np.cos(lap), np.sin(lap))
        sway = 0.05 * np.sin(0.37 * t)
        eye, target = np.array([*(middle - 0.35 * ellipse), 2.1 + sway]), np.array([*(middle + 0.55 * ellipse), sway])
        T = look_at(torch.from_numpy(eye), torch.from_numpy(target), torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64))
        return Camera(torch.from_numpy(self._K), T, self._size)

    def view(self, t: int, limit: int) -> tuple[Frame, Masks]:
        """Frame t with noisy depth, and the masks of `limit` things in it, now these, now those."""
        camera = self.camera(t)
        T = camera.T_world_cam.numpy()
        rays = (self._rays @ T[:3, :3].T).astype(np.float32)
        origins = np.broadcast_to(T[:3, 3].astype(np.float32), rays.shape)
        hit = self._scene.run(np.ascontiguousarray(origins), rays, output=True, query="INTERSECT")
        struck = hit["primID"] >= 0
        depth = np.where(struck, hit["tfar"], 0).astype(np.float32)
        depth += np.where(struck, self._noise.normal(0, 1, depth.shape) * (0.001 + 0.0015 * depth**2), 0)
        ids = np.where(struck, hit["primID"] // 12, 0).reshape(self._size)
        rgb = torch.from_numpy(self._palette[ids])
        counts = np.bincount(ids[ids > 0], minlength=THINGS + 1)
        shown = self._noise.permutation(np.flatnonzero(counts >= LEAST_PX))[:limit]
        masks = torch.from_numpy(np.stack([ids == i for i in shown]))
        frame = Frame(t, t / 10, rgb, torch.from_numpy(depth.astype(np.float32).reshape(self._size)), camera)
        return frame, Masks(masks, torch.ones(len(shown)))

