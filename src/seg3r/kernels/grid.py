"""The inner loops of the scene map: a sparse voxel grid of points.

The grid is a hash of blocks, each a dense cube of `SIDE`^3 voxels that hold a point's row or -1, and the list of the
rows it holds. Kernels that may run out of room return how far they came; the caller grows its arrays and calls again.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]

SHIFT = 3
SIDE = 1 << SHIFT
CELLS = SIDE**3
REACH_M, FARTHEST_M = 3.0, 50.0
"""Ranges between which the reach along a ray grows: without an end to it, one wild point would take minutes."""
SETTLED = 32
"""Measurements after which a point's place and colour are known."""
_BIAS = 1 << 20
EDGE = (_BIAS - 512) * SIDE
"""Voxels from the grid's origin to where it ends, some before a key would overflow."""
_MULTIPLIER = 0x9E3779B97F4A7C15


@njit(cache=True, nogil=True, inline="always")
def _block_key(x: int, y: int, z: int) -> int:
    return (
        (((x >> SHIFT) + _BIAS) << 42) | (((y >> SHIFT) + _BIAS) << 21) | ((z >> SHIFT) + _BIAS)
    )


@njit(cache=True, nogil=True, inline="always")
def _cell(x: int, y: int, z: int) -> int:
    mask = SIDE - 1
    return ((x & mask) << (2 * SHIFT)) | ((y & mask) << SHIFT) | (z & mask)


@njit(cache=True, nogil=True, inline="always")
def _slot(key: int, slots: int) -> int:
    mixed = np.uint64(key) * np.uint64(_MULTIPLIER)
    # The high half knows all of the key, the low half nothing of x.
    return int(mixed ^ (mixed >> np.uint64(32))) & (slots - 1)


@njit(cache=True, nogil=True, inline="always")
def _inside(x: float, y: float, z: float, voxel_m: float) -> bool:
    """Whether a place lies within the grid; one that is not a number does not."""
    edge_m = EDGE * voxel_m
    return (abs(x) < edge_m) & (abs(y) < edge_m) & (abs(z) < edge_m)


@njit(cache=True, nogil=True, inline="always")
def _held(value: float, cell: int, voxel_m: float) -> float:
    """`value` as a float32 that still lies in its voxel: rounding must not carry a point over the border."""
    held = np.float32(value)
    while np.floor(float(held) / voxel_m) > cell:
        held = np.nextafter(held, np.float32(-np.inf))
    while np.floor(float(held) / voxel_m) < cell:
        held = np.nextafter(held, np.float32(np.inf))
    return float(held)


@njit(cache=True, nogil=True)
def find_block(key: int, table: I32, block_keys: I64) -> int:
    """Row of the block with this key, or -1."""
    at = _slot(key, table.size)
    while table[at] >= 0:
        if block_keys[table[at]] == key:
            return int(table[at])
        at = (at + 1) & (table.size - 1)
    return -1


@njit(cache=True, nogil=True)
def _new_block(key: int, table: I32, block_keys: I64, grid: I32, counts: I64) -> int:
    """Row of an empty block under a key that has none yet; the caller saw that there is room."""
    block = int(counts[1])
    counts[1] += 1
    block_keys[block] = key
    grid[block, :] = -1
    at = _slot(key, table.size)
    while table[at] >= 0:
        at = (at + 1) & (table.size - 1)
    table[at] = block
    return block


@njit(cache=True, nogil=True)
def rehash(table: I32, block_keys: I64, count: int) -> None:
    """Fill an empty table with the first `count` blocks."""
    table[:] = -1
    for block in range(count):
        at = _slot(block_keys[block], table.size)
        while table[at] >= 0:
            at = (at + 1) & (table.size - 1)
        table[at] = block


@njit(cache=True, nogil=True)
def _along_ray(
    mx: float, my: float, mz: float, eye: F64, voxel_m: float, reach: int, table: I32, block_keys: I64, grid: I32
) -> int:
    """Row of the nearest occupied voxel at most `reach` voxels before or behind a place, as seen from `eye`, or -1."""
    dx, dy, dz = mx - eye[0], my - eye[1], mz - eye[2]
    length = np.sqrt(dx * dx + dy * dy + dz * dz)
    if not length > 0.0:
        return -1
    reach = int(reach * max(1.0, (min(length, FARTHEST_M) / REACH_M) ** 2))
    dx, dy, dz = dx / length * voxel_m, dy / length * voxel_m, dz / length * voxel_m
    for step in range(1, reach + 1):
        for side in (-step, step):
            x = int(np.floor((mx + side * dx) / voxel_m))
            y = int(np.floor((my + side * dy) / voxel_m))
            z = int(np.floor((mz + side * dz) / voxel_m))
            block = find_block(_block_key(x, y, z), table, block_keys)
            if block >= 0 and grid[block, _cell(x, y, z)] >= 0:
                return int(grid[block, _cell(x, y, z)])
    return -1


@njit(cache=True, nogil=True)
def insert(
    start: int, points: F32, colors: U8, pixels: I32, T_map_world: F64, eye: F64, reach: int, voxel_m: float,
    frame: int, stamp_now: int, table: I32, block_keys: I64, block_points: I32, members: I32, grid: I32,
    counts: I64, position: F32, color: F32, origin: I32, seen: I32, weight: I32, stamp: I32, first_edge: I32, out: I32,
) -> int:
    """Put points (world) into their voxels; each voxel's point is the mean of the first `SETTLED` that fell in.

    A point in an empty voxel counts for one that stands at most `reach` voxels before or behind it on its ray from
    `eye` (in the map's frame), if there is one: depth noise must not grow a shell around every surface. Beyond
    `REACH_M` the reach grows with the square of the range, as the noise of depth cameras does, up to `FARTHEST_M`.

    `counts` holds (points, blocks) and is updated; `out` receives each point's row, -1 for one beyond the grid's edge.
    Returns the first point that did not fit, or len(points).
    """
    R = T_map_world
    last_key, last_block = -1, -1
    for i in range(start, points.shape[0]):
        px, py, pz = float(points[i, 0]), float(points[i, 1]), float(points[i, 2])
        mx = R[0, 0] * px + R[0, 1] * py + R[0, 2] * pz + R[0, 3]
        my = R[1, 0] * px + R[1, 1] * py + R[1, 2] * pz + R[1, 3]
        mz = R[2, 0] * px + R[2, 1] * py + R[2, 2] * pz + R[2, 3]
        if not _inside(mx, my, mz, voxel_m):
            out[i] = -1
            continue
        x, y, z = int(np.floor(mx / voxel_m)), int(np.floor(my / voxel_m)), int(np.floor(mz / voxel_m))
        key, cell = _block_key(x, y, z), _cell(x, y, z)
        block = last_block if key == last_key else find_block(key, table, block_keys)
        row = int(grid[block, cell]) if block >= 0 else -1
        if row < 0 and reach > 0:
            near = _along_ray(mx, my, mz, eye, voxel_m, reach, table, block_keys, grid)
            if near >= 0 and origin[near, 0] != frame:  # two points of one frame are two places
                if stamp[near] != stamp_now:
                    stamp[near] = stamp_now
                    seen[near] += 1
                out[i] = near
                continue
        if row < 0:
            if counts[0] == position.shape[0] or (block < 0 and counts[1] == block_keys.shape[0]):
                return i
            if block < 0:
                block = _new_block(key, table, block_keys, grid, counts)
            row = int(counts[0])
            counts[0] += 1
            grid[block, cell] = row
            members[block, block_points[block]] = row
            block_points[block] += 1
            position[row, 0] = _held(mx, x, voxel_m)
            position[row, 1] = _held(my, y, voxel_m)
            position[row, 2] = _held(mz, z, voxel_m)
            for c in range(3):
                color[row, c] = colors[i, c]
            origin[row, 0], origin[row, 1], origin[row, 2] = frame, pixels[i, 0], pixels[i, 1]
            seen[row], weight[row], stamp[row], first_edge[row] = 1, 1, stamp_now, -1
        else:
            if weight[row] < SETTLED:
                weight[row] += 1
                gain = 1.0 / weight[row]
                position[row, 0] = _held(position[row, 0] + (mx - position[row, 0]) * gain, x, voxel_m)
                position[row, 1] = _held(position[row, 1] + (my - position[row, 1]) * gain, y, voxel_m)
                position[row, 2] = _held(position[row, 2] + (mz - position[row, 2]) * gain, z, voxel_m)
                for c in range(3):
                    color[row, c] += (float(colors[i, c]) - color[row, c]) * gain
            if stamp[row] != stamp_now:
                stamp[row] = stamp_now
                seen[row] += 1
        last_key, last_block = key, block
        out[i] = row
    return len(points)


@njit(cache=True, nogil=True)
def gather_rest(
    points: F32, colors: U8, confidence: F32, stride: int, covered: U8, out_points: F32, out_colors: U8,
    out_pixels: I32,
) -> int:
    """Confident lattice pixels outside the `covered` cells; returns how many."""
    H, W = confidence.shape
    columns = (W + stride - 1) // stride
    found = 0
    for r in range(0, H, stride):
        for c in range(0, W, stride):
            if confidence[r, c] > 0 and not covered[(r // stride) * columns + c // stride]:
                for k in range(3):
                    out_points[found, k] = points[r, c, k]
                    out_colors[found, k] = colors[r, c, k]
                out_pixels[found, 0], out_pixels[found, 1] = r, c
                found += 1
    return found


@njit(cache=True, nogil=True)
def index_points(
    start: int, position: F32, count: int, voxel_m: float, table: I32, block_keys: I64, block_points: I32,
    members: I32, grid: I32, surplus: I32, counts: I64,
) -> int:
    """Rebuild the grid over points that are there already. Returns as `insert` does, or -1 - row of the first point for
    whose block the lists of members must be longer.

    A block with points beyond one a voxel (`surplus`) keeps room for one in each of its voxels, so that `insert` never
    runs over the end of its list.
    """
    for row in range(start, count):
        x = int(np.floor(float(position[row, 0]) / voxel_m))
        y = int(np.floor(float(position[row, 1]) / voxel_m))
        z = int(np.floor(float(position[row, 2]) / voxel_m))
        key = _block_key(x, y, z)
        block = find_block(key, table, block_keys)
        if block < 0:
            if counts[1] == block_keys.shape[0]:
                return row
            block = _new_block(key, table, block_keys, grid, counts)
        if grid[block, _cell(x, y, z)] >= 0:
            if CELLS + surplus[block] + 1 > members.shape[1]:
                return -1 - row
            surplus[block] += 1
        grid[block, _cell(x, y, z)] = row
        members[block, block_points[block]] = row
        block_points[block] += 1
    return count


@njit(cache=True, nogil=True)
def locate(
    points: F32, T_map_world: F64, voxel_m: float, reach: int, table: I32, block_keys: I64, grid: I32, out: I32
) -> None:
    """Row of the map point in each point's voxel; with `reach` also of a neighbour at most that many voxels off."""
    R = T_map_world
    for i in range(points.shape[0]):
        px, py, pz = float(points[i, 0]), float(points[i, 1]), float(points[i, 2])
        mx = R[0, 0] * px + R[0, 1] * py + R[0, 2] * pz + R[0, 3]
        my = R[1, 0] * px + R[1, 1] * py + R[1, 2] * pz + R[1, 3]
        mz = R[2, 0] * px + R[2, 1] * py + R[2, 2] * pz + R[2, 3]
        out[i] = -1
        if not _inside(mx, my, mz, voxel_m):
            continue
        x, y, z = int(np.floor(mx / voxel_m)), int(np.floor(my / voxel_m)), int(np.floor(mz / voxel_m))
        block = find_block(_block_key(x, y, z), table, block_keys)
        out[i] = grid[block, _cell(x, y, z)] if block >= 0 else -1
        if out[i] >= 0 or reach == 0:
            continue
        for dx in range(-reach, reach + 1):
            for dy in range(-reach, reach + 1):
                for dz in range(-reach, reach + 1):
                    if out[i] < 0:
                        block = find_block(_block_key(x + dx, y + dy, z + dz), table, block_keys)
                        if block >= 0:
                            out[i] = grid[block, _cell(x + dx, y + dy, z + dz)]


@njit(cache=True, nogil=True)
def visible_blocks(
    depth: F32, K: F64, T_map_cam: F64, voxel_m: float, tolerance: float, step: int,
    table: I32, block_keys: I64, count: int, block_stamp: I32, stamp_now: int, out: I32,
) -> int:
    """All of `count` blocks that the depth map's surface, thickened by `tolerance`, passes through. Returns how many.

    Pixels are taken `step` by `step`, the near and the far ones apart where a tile holds an edge, while the depths of
    each part lie within two blocks: the box around the piece of space they confirm names the blocks (too many at worst:
    each point is still tested).
    """
    H, W = depth.shape
    reach = SIDE * voxel_m
    box = _box_of_blocks(block_keys, count)
    found = 0
    for v0 in range(0, H, step):
        for u0 in range(0, W, step):
            near, far = _depth_range(depth, u0, v0, step, 0.0, np.inf)
            if far <= 0:
                continue
            if far - near <= 2 * reach:
                found = _mark_blocks(u0, v0, step, near - tolerance, far + tolerance, K, T_map_cam, reach, box,
                                     table, block_keys, block_stamp, stamp_now, out, found)
                continue
            middle = (near + far) / 2
            _, near_end = _depth_range(depth, u0, v0, step, 0.0, middle)
            far_begin, _ = _depth_range(depth, u0, v0, step, middle, np.inf)
            if max(near_end - near, far - far_begin) <= 2 * reach:
                found = _mark_blocks(u0, v0, step, near - tolerance, near_end + tolerance, K, T_map_cam, reach, box,
                                     table, block_keys, block_stamp, stamp_now, out, found)
                found = _mark_blocks(u0, v0, step, far_begin - tolerance, far + tolerance, K, T_map_cam, reach, box,
                                     table, block_keys, block_stamp, stamp_now, out, found)
                continue
            for v in range(v0, min(v0 + step, H)):
                for u in range(u0, min(u0 + step, W)):
                    d = float(depth[v, u])
                    if d > 0:
                        found = _mark_blocks(u, v, 1, d - tolerance, d + tolerance, K, T_map_cam, reach, box,
                                             table, block_keys, block_stamp, stamp_now, out, found)
    return found


@njit(cache=True, nogil=True)
def _box_of_blocks(block_keys: I64, count: int) -> I64:
    """[3 2] first and last of the first `count` blocks along each axis; the last before the first where there is none.
    """
    box = np.empty((3, 2), np.int64)
    box[:, 0], box[:, 1] = _BIAS, -_BIAS
    field = (1 << 21) - 1
    for block in range(count):
        key = block_keys[block]
        for axis in range(3):
            place = ((key >> (42 - 21 * axis)) & field) - _BIAS
            box[axis, 0] = min(box[axis, 0], place)
            box[axis, 1] = max(box[axis, 1], place)
    return box


@njit(cache=True, nogil=True)
def _depth_range(depth: F32, u0: int, v0: int, step: int, above: float, upto: float) -> tuple[float, float]:
    """Least and largest depth in (above, upto] of a tile; the largest is 0 where there is none."""
    H, W = depth.shape
    near, far = np.float32(np.inf), np.float32(0.0)
    low, high = np.float32(above), np.float32(upto)
    for v in range(v0, min(v0 + step, H)):
        for u in range(u0, min(u0 + step, W)):
            d = depth[v, u]
            inside = low < d <= high
            near = min(near, d if inside else near)
            far = max(far, d if inside else far)
    return float(near), float(far)


@njit(cache=True, nogil=True)
def _mark_blocks(
    u: int, v: int, side: int, near: float, far: float, K: F64, T_map_cam: F64, reach: float, box: I64,
    table: I32, block_keys: I64, block_stamp: I32, stamp_now: int, out: I32, found: int,
) -> int:
    """Append the blocks around what `side` x `side` pixels see between two depths; returns how many there are now."""
    near = max(near, 0.0)
    a0, a1 = (u - 0.5 - K[0, 2]) / K[0, 0], (u + side - 0.5 - K[0, 2]) / K[0, 0]
    b0, b1 = (v - 0.5 - K[1, 2]) / K[1, 1], (v + side - 0.5 - K[1, 2]) / K[1, 1]
    x0, x1 = _span(T_map_cam, 0, a0, a1, b0, b1, near, far, reach, box)
    y0, y1 = _span(T_map_cam, 1, a0, a1, b0, b1, near, far, reach, box)
    z0, z1 = _span(T_map_cam, 2, a0, a1, b0, b1, near, far, reach, box)
    for x in range(x0, x1 + 1):
        for y in range(y0, y1 + 1):
            for z in range(z0, z1 + 1):
                block = find_block(((x + _BIAS) << 42) | ((y + _BIAS) << 21) | (z + _BIAS), table, block_keys)
                if block >= 0 and block_stamp[block] != stamp_now:
                    block_stamp[block] = stamp_now
                    out[found] = block
                    found += 1
    return found


@njit(cache=True, nogil=True, inline="always")
def _span(
    T_map_cam: F64, axis: int, a0: float, a1: float, b0: float, b1: float, near: float, far: float, reach: float,
    box: I64,
) -> tuple[int, int]:
    """First and last block along one axis of the map, within `box`: a camera or a depth however far off ends the loop
    over them."""
    ra, rb, rc, origin = T_map_cam[axis, 0], T_map_cam[axis, 1], T_map_cam[axis, 2], T_map_cam[axis, 3]
    least = min(ra * a0, ra * a1) + min(rb * b0, rb * b1) + rc
    most = max(ra * a0, ra * a1) + max(rb * b0, rb * b1) + rc
    low = origin + min(least * near, least * far) - 1e-5
    high = origin + max(most * near, most * far) + 1e-5
    first, last = np.floor(low / reach), np.floor(high / reach)
    if not (first <= box[axis, 1] and last >= box[axis, 0]):  # nor where one is not a number
        return 1, 0
    return int(max(first, float(box[axis, 0]))), int(min(last, float(box[axis, 1])))


@njit(cache=True, nogil=True, inline="always")
def _confirmed(
    x: float, y: float, z: float, depth: F32, K: F64, R: F64, tolerance: float
) -> int:
    """Pixel (flat) at which a depth map confirms a place (in the map's frame) within `tolerance`, or -1."""
    H, W = depth.shape
    cz = R[2, 0] * x + R[2, 1] * y + R[2, 2] * z + R[2, 3]
    inverse = 1.0 / cz if cz > 0 else 0.0
    u = (R[0, 0] * x + R[0, 1] * y + R[0, 2] * z + R[0, 3]) * inverse * K[0, 0] + K[0, 2]
    v = (R[1, 0] * x + R[1, 1] * y + R[1, 2] * z + R[1, 3]) * inverse * K[1, 1] + K[1, 2]
    inside = (cz > 0) & (u >= -0.5) & (u < W - 0.5) & (v >= -0.5) & (v < H - 0.5)
    row, column = int(v + 0.5) if inside else 0, int(u + 0.5) if inside else 0
    measured = float(depth[row, column])
    return row * W + column if inside & (measured > 0) & (abs(cz - measured) <= tolerance) else -1


@njit(cache=True, nogil=True)
def visible_points(
    blocks: I32, counts: I32, members: I32, position: F32, depth: F32, K: F64, T_cam_map: F64, tolerance: float,
    rows: I32, pixels: I32,
) -> int:
    """Points of these blocks (block b holds `counts[b]`) that the depth map confirms, with their pixel (flat)."""
    found = 0
    for b in range(blocks.shape[0]):
        for i in range(counts[b]):
            row = members[blocks[b], i]
            pixel = _confirmed(
                float(position[row, 0]), float(position[row, 1]), float(position[row, 2]), depth, K, T_cam_map,
                tolerance,
            )
            rows[found] = row  # written always: a branch that cannot be foretold costs more
            pixels[found] = pixel
            found += pixel >= 0
    return found


@njit(cache=True, nogil=True)
def project_points(
    rows: I32, position: F32, depth: F32, K: F64, T_cam_map: F64, tolerance: float, out: I32
) -> None:
    """Pixel (flat) at which the depth map confirms each of these points, or -1."""
    for i in range(rows.shape[0]):
        place = position[rows[i]]
        out[i] = _confirmed(
            float(place[0]), float(place[1]), float(place[2]), depth, K, T_cam_map, tolerance
        )


@njit(cache=True, nogil=True)
def new_voxels(points: F32, segment_ids: I64, known: I32, T_map_world: F64, voxel_m: float, counts: I32) -> None:
    """Distinct voxels per segment among the points within the grid whose `known` row is -1. `segment_ids` ascend."""
    capacity = 64
    unknown = 0
    for i in range(points.shape[0]):
        unknown += known[i] < 0
    while capacity < 2 * unknown:
        capacity *= 2
    keys = np.full(capacity, -1, np.int64)
    owner = np.zeros(capacity, np.int64)
    R = T_map_world
    for i in range(points.shape[0]):
        if known[i] >= 0:
            continue
        px, py, pz = float(points[i, 0]), float(points[i, 1]), float(points[i, 2])
        mx = R[0, 0] * px + R[0, 1] * py + R[0, 2] * pz + R[0, 3]
        my = R[1, 0] * px + R[1, 1] * py + R[1, 2] * pz + R[1, 3]
        mz = R[2, 0] * px + R[2, 1] * py + R[2, 2] * pz + R[2, 3]
        if not _inside(mx, my, mz, voxel_m):
            continue
        x, y, z = int(np.floor(mx / voxel_m)), int(np.floor(my / voxel_m)), int(np.floor(mz / voxel_m))
        key = ((x + _BIAS) << 42) | ((y + _BIAS) << 21) | (z + _BIAS)
        at = (_slot(key, capacity) + segment_ids[i] * 7919) & (capacity - 1)
        while keys[at] >= 0 and not (keys[at] == key and owner[at] == segment_ids[i]):
            at = (at + 1) & (capacity - 1)
        if keys[at] < 0:
            keys[at] = key
            owner[at] = segment_ids[i]
            counts[segment_ids[i]] += 1
