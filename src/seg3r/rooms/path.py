"""A walk with a camera in the hand: round after round through the room, each from the same start and back to it.

The camera looks across the room, so that a round shows all of it. Rounds are drawn one by one: a frame does not depend
on how many follow.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float64, Int64
from scipy.ndimage import distance_transform_edt, gaussian_filter1d
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import dijkstra

from seg3r.errors import InputError
from seg3r.geometry import look_at
from seg3r.rooms.room import PATH_STREAM, Room
from seg3r.types import Camera

CELL_M = 0.08
CLEAR_M = 0.42
"""From walls and from what is as high as the camera."""
TALL_M = 1.05
"""Lower things may be reached over, though that is avoided."""
STEP_M, TURN = 0.10, math.radians(6.8)
"""Most that the hand moves between frames; its tremor comes on top."""
ROUND_FRAMES = 60
GAZE_M = 0.85
"""Height of what is looked at: below the camera."""
EXPOSURE = 1 << 20
"""A stream that no round of a walk uses."""
STARTS = 8
"""Beginnings tried."""
FINE = 600
"""Samples of a round before it is timed."""


def camera_path(room: Room, frames: int, seed: int, size: tuple[int, int] = (240, 320)) -> list[Camera]:
    """The first `frames` cameras of the walk of this seed. Frame t is the same for every number of frames.

    Args:
        room: to walk in.
        frames: how many.
        seed: of the walk; field of view, height and tremor too.
        size: (H, W) of the images.

    Raises:
        InputError: no frames or no pixels.
    """
    if frames < 1 or min(size) < 8:
        raise InputError(f"{frames} frames of {size[1]}x{size[0]}: a walk needs at least one frame of 8x8 pixels")
    rng = np.random.default_rng([room.seed, PATH_STREAM, seed])
    fov = math.radians(rng.uniform(60, 70))
    height = float(rng.uniform(1.35, 1.58))
    start, sense, first = _start(room, seed, rng)
    rounds = [first]
    while sum(len(eye) for eye, _ in rounds) < frames:
        rounds.append(_round(room, seed, len(rounds), start, sense))
    eyes, targets = zip(*rounds, strict=True)
    eye, target = np.concatenate(eyes)[:frames], np.concatenate(targets)[:frames]
    t = np.arange(frames)
    tremor = np.stack([_tremor(rng, t) for _ in range(6)], 1)
    eye = np.column_stack((eye, height + 0.05 * np.sin(2 * np.pi * t / 47))) + 0.006 * tremor[:, :3]
    focal = size[1] / 2 / math.tan(fov / 2)
    K = torch.tensor([[focal, 0, (size[1] - 1) / 2], [0, focal, (size[0] - 1) / 2], [0, 0, 1]], dtype=torch.float64)
    return [_camera(eye[k], target[k], 0.008 * tremor[k, 3:], K, size) for k in range(frames)]


def between(a: Camera, b: Camera, share: float) -> Camera:
    """A camera on the way from one to the next, `share` of it done; for small turns."""
    T = (1 - share) * a.T_world_cam + share * b.T_world_cam
    u, _, vt = torch.linalg.svd(T[:3, :3])
    T[:3, :3] = u @ vt
    return Camera(a.K, T, a.size)


def exposure_drift(seed: int, index: int, stops: float) -> float:
    """Factor on the light at a frame of a walk: automatic exposure that wanders by +-`stops` over some seconds."""
    rng = np.random.default_rng([seed, PATH_STREAM, EXPOSURE])
    return float(2.0 ** (stops * np.clip(_tremor(rng, np.array([index]))[0] / 1.5, -1, 1)))


def _camera(
    eye: Float64[np.ndarray, "3"], target: Float64[np.ndarray, "3"], shake: Float64[np.ndarray, "3"],
    K: Float64[torch.Tensor, "3 3"], size: tuple[int, int],
) -> Camera:
    up = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    T = look_at(torch.from_numpy(eye), torch.from_numpy(target), up)
    a, b, c = shake
    turn = torch.tensor([[0, -c, b], [c, 0, -a], [-b, a, 0]], dtype=torch.float64)
    T[:3, :3] = T[:3, :3] @ torch.linalg.matrix_exp(turn)
    return Camera(K, T, size)


def _tremor(rng: np.random.Generator, t: Int64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    """Three slow waves, about -1..1."""
    period, phase = rng.uniform(9, 34, 3), rng.uniform(0, 2 * np.pi, 3)
    return np.asarray(np.sin(2 * np.pi * t[:, None] / period + phase).sum(1) / 2)


def _start(
    room: Room, seed: int, rng: np.random.Generator
) -> tuple[float, int, tuple[Float64[np.ndarray, "n 2"], Float64[np.ndarray, "n 3"]]]:
    """Where to begin (angle about the middle) and which way round, so that the first round is short; and that round."""
    tried = []
    for _ in range(STARTS):
        start, sense = float(rng.uniform(0, 2 * np.pi)), 1 if rng.random() < 0.5 else -1
        tried.append((start, sense, _round(room, seed, 0, start, sense)))
        if len(tried[-1][2][0]) <= ROUND_FRAMES:
            break
    return min(tried, key=lambda t: len(t[2][0]))


def _round(
    room: Room, seed: int, number: int, start: float, sense: int
) -> tuple[Float64[np.ndarray, "n 2"], Float64[np.ndarray, "n 3"]]:
    """Positions and gaze targets of one round. The first is quick, about ROUND_FRAMES long."""
    rng = np.random.default_rng([room.seed, PATH_STREAM, seed, number + 1])
    half = np.array(room.size[:2]) / 2
    first = 0.45 * np.array([math.cos(start), math.sin(start)])
    turn = sense if number == 0 or rng.random() < 0.5 else -sense
    reach = rng.uniform(0.25, 0.55, 7) if number == 0 else rng.uniform(0.15, 0.8, 9)
    wobble = rng.normal(0, 0.25 if number == 0 else 0.6, 2)
    heights = rng.uniform(-0.3, 0.3, 2)
    for shrink in (1.0, 0.75, 0.55, 0.4):
        angle = start + turn * 2 * np.pi * np.arange(len(reach) + 1)[1:] / (len(reach) + 1)
        via = shrink * reach[:, None] * np.stack((np.cos(angle), np.sin(angle)), 1)
        corners = half * (1 + np.concatenate((first[None], via, first[None])))
        way = _walk(room, corners)
        u = np.linspace(0, 1, FINE)
        across = start + np.pi + turn * 2 * np.pi * u + wobble[0] * np.sin(2 * np.pi * u) + wobble[1] * np.sin(
            4 * np.pi * u)
        gaze = half + 0.62 * half * np.stack((np.cos(across), np.sin(across)), 1)
        z = GAZE_M + heights[0] * np.sin(2 * np.pi * u) + heights[1] * np.sin(4 * np.pi * u)
        target = np.column_stack((gaze, z))
        heading = np.unwrap(np.arctan2(target[:, 1] - way[:, 1], target[:, 0] - way[:, 0]))
        cost = np.maximum(np.linalg.norm(np.diff(way, axis=0), axis=1) / STEP_M, np.abs(np.diff(heading)) / TURN)
        time = np.concatenate(([0.0], np.cumsum(gaussian_filter1d(cost, 6, mode="nearest"))))
        if number > 0 or time[-1] <= ROUND_FRAMES:
            break
    frames = max(ROUND_FRAMES if number == 0 else 1, math.ceil(time[-1]))
    at = np.interp(np.arange(frames) * time[-1] / frames, time, u)
    columns = [np.interp(at, u, column) for column in (*way.T, *target.T)]
    return np.stack(columns[:2], 1), np.stack(columns[2:], 1)


def _walk(room: Room, corners: Float64[np.ndarray, "c 2"]) -> Float64[np.ndarray, "fine 2"]:
    """`FINE` points through free space past the free cells nearest to the corners, rounded."""
    clear, price, graph = _floor_plan(room)
    shape = clear.shape
    free = clear >= CLEAR_M
    if not free.any():
        free = clear >= clear.max() - 1e-9
    cells = np.argwhere(free)
    flat = np.flatnonzero(free)
    stops = [int(flat[np.argmin(np.linalg.norm((cells + 0.5) * CELL_M - c, axis=1) + 0.12 * price[free])])
             for c in corners]
    _, before = dijkstra(graph, indices=stops, return_predecessors=True)
    route = [stops[0]]
    for k, (a, b) in enumerate(pairwise(stops)):
        leg, at = [], b
        while at != a and at >= 0:
            leg.append(at)
            at = int(before[k][at])
        if at == a:
            route += leg[::-1]
    points = (np.stack(np.unravel_index(route, shape), 1) + 0.5) * CELL_M
    if len(points) < 2:
        points = np.repeat(points, 2, 0)
    length = np.concatenate(([0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1) + 1e-9)))
    s = np.linspace(0, length[-1], FINE)
    way = np.stack([np.interp(s, length, column) for column in points.T], 1)
    # Rounding cuts corners: where it would come too near, less of it.
    for sigma in (45, 25, 12, 5):
        soft = gaussian_filter1d(way, sigma, axis=0, mode="nearest")
        fade = np.linspace(0, 1, FINE)[:, None]
        soft += (way[0] - soft[0]) * (1 - fade) ** 8 + (way[-1] - soft[-1]) * fade**8
        index = np.clip((soft / CELL_M).astype(int), 0, np.array(shape) - 1)
        if (clear[index[:, 0], index[:, 1]] >= CLEAR_M - 0.06).all():
            return np.asarray(soft)
    return way


@lru_cache(maxsize=4)
def _floor_plan(
    room: Room
) -> tuple[Float64[np.ndarray, "x y"], Float64[np.ndarray, "x y"], csr_matrix[np.float64]]:
    """Distance of each cell to what is tall, the price of walking there, and the graph of free cells."""
    nx, ny = (max(3, int(side / CELL_M)) for side in room.size[:2])
    tall, low = np.zeros((nx + 2, ny + 2), bool), np.zeros((nx + 2, ny + 2), bool)
    tall[[0, -1]] = tall[:, [0, -1]] = True
    for o in room.objects:
        (x0, y0, _), (x1, y1, z1) = o.box
        if o.relation in ("wall", "ceiling") or o.name == "rug":
            continue
        cells = (slice(int(x0 / CELL_M) + 1, math.ceil(x1 / CELL_M) + 1),
                 slice(int(y0 / CELL_M) + 1, math.ceil(y1 / CELL_M) + 1))
        (tall if z1 > TALL_M else low)[cells] = True
    clear = distance_transform_edt(~tall)[1:-1, 1:-1] * CELL_M
    over = distance_transform_edt(~low)[1:-1, 1:-1] * CELL_M if low.any() else np.full((nx, ny), 9.0)
    price = 1 + 8 * np.clip(1 - over / 0.35, 0, 1) + 1.5 * np.clip(1 - (clear - CLEAR_M) / 0.4, 0, 1)
    free = clear >= CLEAR_M
    number = np.arange(nx * ny).reshape(nx, ny)
    rows, columns, prices = [], [], []
    for dx, dy in ((1, 0), (0, 1), (1, 1), (1, -1)):
        a = (slice(0, nx - dx), slice(max(0, -dy), ny - max(0, dy)))
        b = (slice(dx, nx), slice(max(0, dy), ny + min(0, dy)))
        both = free[a] & free[b]
        rows.append(number[a][both])
        columns.append(number[b][both])
        prices.append(((price[a] + price[b]) / 2 * math.hypot(dx, dy))[both])
    i, j, w = np.concatenate(rows), np.concatenate(columns), np.concatenate(prices)
    graph = coo_matrix((np.concatenate((w, w)), (np.concatenate((i, j)), np.concatenate((j, i)))),
                       shape=(nx * ny, nx * ny)).tocsr()
    return clear, price, graph
