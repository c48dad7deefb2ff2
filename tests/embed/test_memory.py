"""The query index memory in a world of boxes."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from seg3r.embed.memory import ROOM, QueryIndexMemory, spatial_keys
from seg3r.errors import InputError
from seg3r.geometry import rigid, transform
from seg3r.kernels import memory as kernels
from seg3r.reconstruct.sensor import Sensor
from seg3r.types import Camera, View
from tests.worlds import table_scene

WORLD = table_scene()
GRID = (12, 16)


Place = tuple[float, float, float]


def look(eye: Place, target: Place = (0, 0, 0.8)) -> tuple[View, torch.Tensor]:
    frame, ids = WORLD.frame(0, WORLD.camera(eye, target))
    return Sensor().view(frame), ids


def shares(ids: torch.Tensor, things: tuple[int, ...]) -> torch.Tensor:
    """Of the cells of GRID, 5 x 5 pixels each."""
    masks = torch.stack([ids == t for t in things]).float()
    return torch.nn.functional.avg_pool2d(masks[:, None], 5)[:, 0]


def seen_from(memory: QueryIndexMemory, view: View, ids: torch.Tensor, things: tuple[int, ...], tag: float) -> None:
    queries = torch.tensor([[t, tag] for t in things], dtype=torch.float32)
    memory.add(*spatial_keys(view, GRID), shares(ids, things), queries)


FRONT = (0.0, -1.7, 1.5)


def test_a_key_falls_into_the_cell_it_was_made_from() -> None:
    view, _ = look(FRONT)
    keys, valid = spatial_keys(view, GRID)
    cells = np.empty(GRID[0] * GRID[1], np.int32)
    K, T = view.camera.K.numpy(), torch.linalg.inv(view.camera.T_world_cam).numpy()
    kernels.visible_cells(keys.reshape(-1, 3).numpy(), K, T, np.zeros((60, 80), np.float32), *GRID, 0.05, 0.05, cells)
    good = valid.flatten().numpy()
    assert good.sum() > 80  # the rest is sky, or edges
    # The mean of a slanted patch's points lies off its middle, by far less than half a cell.
    assert (cells[good] == np.arange(good.size)[good]).all()


def test_cells_over_an_edge_or_without_depth_hold_no_key() -> None:
    view, _ = look(FRONT)
    depth = view.depth.clone()
    depth[:5, :3] = 0
    depth[5:10, :2] *= 2
    _, valid = spatial_keys(replace(view, depth=depth), GRID)
    assert not valid[0, 0] and not valid[1, 0]
    assert spatial_keys(replace(view, confidence=torch.zeros(60, 80)), GRID)[1].sum() == 0


def test_what_was_seen_is_found_from_elsewhere() -> None:
    memory = QueryIndexMemory()
    seen_from(memory, *look(FRONT), (2, 3, 4), 0)
    view, ids = look((0.9, -1.4, 1.6))
    ids_found, queries, footprints = memory.retrieve(view.camera, view.depth, GRID)
    assert ids_found.tolist() == [0, 1, 2] and queries[:, 0].tolist() == [2, 3, 4]
    now = shares(ids, (2, 3, 4)) > 0
    for footprint, mask in zip(footprints, now, strict=True):
        assert footprint.sum() >= 3 and (footprint & mask).sum() / footprint.sum() > 0.8


def test_what_is_out_of_view_is_not_found() -> None:
    memory = QueryIndexMemory()
    seen_from(memory, *look(FRONT), (2, 3, 4), 0)
    away, _ = look(FRONT, (0, -3.0, 1.4))
    assert len(memory.retrieve(away.camera, away.depth, GRID).ids) == 0
    left, _ = look((-0.45, -0.7, 1.2), (-0.45, 0, 0.9))
    assert memory.retrieve(left.camera, left.depth, GRID).queries[:, 0].tolist() == [2, 3]


def test_what_is_hidden_is_not_found() -> None:
    memory = QueryIndexMemory()
    view, ids = look(FRONT)
    seen_from(memory, view, ids, (3, 4), 0)
    assert len(memory.retrieve(view.camera, view.depth, GRID).ids) == 2
    wall = torch.full_like(view.depth, 0.5)
    assert len(memory.retrieve(view.camera, wall, GRID).ids) == 0
    assert len(memory.retrieve(view.camera, torch.zeros_like(wall), GRID).ids) == 2  # nothing known hides nothing


def test_the_nearer_key_of_a_cell_hides_the_others() -> None:
    memory = QueryIndexMemory()
    camera = Camera(torch.tensor([[80.0, 0, 39.5], [0, 80.0, 29.5], [0, 0, 1]], dtype=torch.float64),
                    torch.eye(4, dtype=torch.float64), (60, 80))
    masks = torch.ones(1, 1, 1)
    for z, name in ((2.0, 7.0), (1.0, 8.0), (1.08, 9.0)):
        memory.add(torch.tensor([[[0.0, 0.0, z]]], dtype=torch.float64), torch.ones(1, 1, dtype=torch.bool), masks,
                   torch.tensor([[name]]))
    found = memory.retrieve(camera, torch.zeros(60, 80), (12, 16))
    assert found.queries.flatten().tolist() == [8, 9]


def test_moving_the_world_moves_nothing() -> None:
    angle = torch.tensor(0.7, dtype=torch.float64)
    R = torch.tensor([[angle.cos(), -angle.sin(), 0], [angle.sin(), angle.cos(), 0], [0, 0, 1]], dtype=torch.float64)
    move = rigid(R, torch.tensor([3.0, -2.0, 1.0], dtype=torch.float64))
    found = []
    for T in (torch.eye(4, dtype=torch.float64), move):
        # So fine that no two keys share a voxel: which points do depends on where its corners lie.
        memory = QueryIndexMemory(voxel_m=0.001)
        for eye in (FRONT, (0.9, -1.4, 1.6)):
            view, ids = look(eye)
            moved = replace(view, points=transform(T, view.points))
            seen_from(memory, moved, ids, (2, 3, 4), 0)
        camera = replace(view.camera, T_world_cam=T @ view.camera.T_world_cam)
        found.append(memory.retrieve(camera, view.depth, GRID))
    assert torch.equal(found[0].ids, found[1].ids)
    assert (found[0].footprints != found[1].footprints).float().mean() < 0.005  # a rounding at a cell's border


def test_a_camera_that_stays_fills_a_bounded_memory() -> None:
    memory = QueryIndexMemory(per_key=3)
    view, ids = look(FRONT)
    sizes = []
    for n in range(ROOM):
        seen_from(memory, view, ids, (2, 3, 4), n)
        sizes.append((len(memory), memory.queries))
    assert len({keys for keys, _ in sizes}) == 1
    assert max(queries for _, queries in sizes) <= ROOM + 3
    assert memory.retrieve(view.camera, view.depth, GRID).ids.tolist() == list(range(3 * ROOM - 9, 3 * ROOM))


def test_of_too_many_keys_the_longest_unused_go() -> None:
    memory = QueryIndexMemory(most_keys=100)
    for n in range(5):
        keys = torch.zeros(1, 40, 3, dtype=torch.float64)
        keys[0, :, 0], keys[0, :, 1], keys[..., 2] = torch.arange(40) * 0.06, n * 0.06, 2.0
        memory.add(keys, torch.ones(1, 40, dtype=torch.bool), torch.ones(1, 1, 40), torch.tensor([[float(n)]]))
        assert len(memory) <= 100
    K = torch.tensor([[20.0, 0, 39.5], [0, 20.0, 29.5], [0, 0, 1]], dtype=torch.float64)
    camera = Camera(K, torch.eye(4, dtype=torch.float64), (60, 80))
    found = memory.retrieve(camera, torch.zeros(60, 80), (60, 80)).queries.flatten().tolist()
    assert found[-2:] == [3, 4] and 0 not in found


def test_of_too_many_queries_the_largest_are_recalled() -> None:
    memory = QueryIndexMemory(most_recalled=2)
    view, ids = look(FRONT)
    seen_from(memory, view, ids, (5, 2, 3), 0)
    found = memory.retrieve(view.camera, view.depth, GRID)
    assert (ids == 5).sum() < (ids == 3).sum() < (ids == 2).sum()
    assert found.queries[:, 0].tolist() == [2, 3] and found.ids.tolist() == [1, 2]


def test_a_memory_put_down_and_taken_up_goes_on_the_same() -> None:
    views = [look(eye) for eye in (FRONT, (0.9, -1.4, 1.6), (-0.9, -1.4, 1.6), FRONT)]
    whole, first, second = QueryIndexMemory(), QueryIndexMemory(), QueryIndexMemory()
    for n, (view, ids) in enumerate(views):
        seen_from(whole, view, ids, (2, 3, 4), n)
        if n < 2:
            seen_from(first, view, ids, (2, 3, 4), n)
    second.restore({name: value.clone() for name, value in first.state().items()})
    for n, (view, ids) in itertools.islice(enumerate(views), 2, None):
        seen_from(second, view, ids, (2, 3, 4), n)
    assert all(torch.equal(whole.state()[name], value) for name, value in second.state().items())
    view, _ = views[1]
    a, b = (m.retrieve(view.camera, view.depth, GRID) for m in (whole, second))
    assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_the_state_of_something_else_is_refused() -> None:
    with pytest.raises(InputError, match="not a query index memory: it lacks 'keys'"):
        QueryIndexMemory().restore({"carried.state": torch.zeros(1)})
    with pytest.raises(InputError, match="a memory of 3 queries to a key, this one holds 8"):
        QueryIndexMemory().restore(QueryIndexMemory(per_key=3).state())


def test_an_empty_memory_and_a_frame_without_masks() -> None:
    memory = QueryIndexMemory()
    view, _ = look(FRONT)
    assert len(memory.retrieve(view.camera, view.depth, GRID).ids) == 0
    memory.add(*spatial_keys(view, GRID), torch.zeros(0, *GRID), torch.zeros(0, 2))
    assert len(memory) == 0
    seen_from(memory, *look(FRONT), (2,), 0)
    memory.reset()
    assert len(memory) == memory.queries == 0
