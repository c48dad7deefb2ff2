"""The world itself: what is in it, and that it could stand."""

from __future__ import annotations

import numpy as np
import pytest

from seg3r.errors import InputError
from seg3r.rooms import CLASS_IDS, CLASSES, SPLITS, STRUCTURAL, Room, build_room, split_seeds
from seg3r.rooms.layout import FloorPlan, part_boxes
from seg3r.rooms.mesh import box
from seg3r.rooms.room import MAX_OBJECTS, MIN_OBJECTS, OPENINGS
from seg3r.rooms.shape import Shape, Surface
from seg3r.rooms.texture import COLORS, Material

SEEDS = (*range(12), 1_000_000, 2_000_000)


@pytest.fixture(scope="module")
def rooms() -> list[Room]:
    return [build_room(seed) for seed in SEEDS]


def faces_of(room: Room, number: int) -> np.ndarray:
    """[f 3 3] corners of one instance."""
    return room.vertices[room.faces[room.face_instance == number]]


def test_same_seed_same_bytes() -> None:
    first = build_room(5)
    build_room.cache_clear()
    again = build_room(5)
    assert first is not again and first.objects == again.objects and first.materials == again.materials
    for name in ("vertices", "normals", "coords", "faces", "face_instance", "face_class", "face_material"):
        assert getattr(first, name).tobytes() == getattr(again, name).tobytes(), name


def test_seeds_count_from_zero() -> None:
    with pytest.raises(InputError, match="count from 0"):
        build_room(-1)


def test_another_seed_another_room(rooms: list[Room]) -> None:
    assert len({room.vertices.tobytes() for room in rooms}) == len(rooms)


def test_numbers_of_things(rooms: list[Room]) -> None:
    for room in rooms:
        things = [o for o in room.objects if o.name not in OPENINGS and o.relation != "ceiling"]
        assert MIN_OBJECTS <= len(things) <= MAX_OBJECTS
        assert [o.id for o in room.objects] == list(range(1, len(room.objects) + 1))
        assert sum(o.name == "door" for o in room.objects) == 1
        assert any(o.relation == "on" for o in things) and any(o.relation == "wall" for o in things)
        assert set(np.unique(room.face_instance)) == {0, *(o.id for o in room.objects)}
    several = [len({o.name for o in room.objects}) < len(room.objects) for room in rooms]
    assert all(several)


def test_classes(rooms: list[Room]) -> None:
    assert len(CLASSES) == len(set(CLASSES)) and CLASSES[1 : 1 + len(STRUCTURAL)] == STRUCTURAL
    used = {o.name for room in rooms for o in room.objects}
    assert used <= set(CLASSES) - set(STRUCTURAL) - {"none"} and len(used) >= 25
    for room in rooms:
        for o in room.objects:
            assert set(room.face_class[room.face_instance == o.id]) == {CLASS_IDS[o.name]}
        structure = set(room.face_class[room.face_instance == 0])
        assert structure == {CLASS_IDS[name] for name in STRUCTURAL}


def test_all_classes_occur() -> None:
    used: set[str] = set()
    for seed in range(100, 260):
        used |= {o.name for o in build_room(seed).objects}
        if len(used) == len(CLASSES) - 1 - len(STRUCTURAL):
            break
    assert used == set(CLASSES) - set(STRUCTURAL) - {"none"}


def test_nothing_leaves_the_room(rooms: list[Room]) -> None:
    for room in rooms:
        low, high = room.vertices.min(0), room.vertices.max(0)
        assert (low >= (-1e-5, -1e-5, -0.0061)).all() and (high <= np.array(room.size) + 1e-5).all()
        assert np.isfinite(room.normals).all() and room.faces.max() < len(room.vertices)


def test_boxes_are_those_of_the_faces(rooms: list[Room]) -> None:
    for room in rooms[:4]:
        for o in room.objects:
            corners = faces_of(room, o.id).reshape(-1, 3)
            np.testing.assert_allclose([corners.min(0), corners.max(0)], o.box, atol=2e-3)


def test_nothing_floats(rooms: list[Room]) -> None:
    """Floor things touch the floor, things on others have a level face of theirs under them, flat ones a wall."""
    for room in rooms:
        by_id = {o.id: o for o in room.objects}
        for o in room.objects:
            low, high = o.box
            if o.relation == "floor":
                assert abs(low[2]) < 0.007, o
            elif o.relation == "wall":
                gaps = (*low[:2], room.size[0] - high[0], room.size[1] - high[1])
                assert min(gaps) < 0.05, o
            elif o.relation == "on":
                host = faces_of(room, by_id[o.support].id)
                soft = by_id[o.support].material == "fabric"
                near = np.abs(host[:, :, 2] - low[2]).max(1) < (0.06 if soft else 0.004)
                middle = np.array(o.center[:2])
                covers = (host[:, :, :2].min(1) <= middle).all(1) & (host[:, :, :2].max(1) >= middle).all(1)
                assert (near & covers).any(), (room.seed, o, by_id[o.support])


def test_chairs_face_their_table(rooms: list[Room]) -> None:
    """The back (higher than the seat) is on the far side of a chair at a table."""
    checked = 0
    for room in rooms:
        tables = [o for o in room.objects if o.name == "table"]
        for o in room.objects:
            if o.name != "chair" or not tables:
                continue
            corners = faces_of(room, o.id).reshape(-1, 3)
            back = corners[corners[:, 2] > 0.7 * corners[:, 2].max()].mean(0)[:2]
            seat = np.array(o.center[:2])
            towards = np.array(tables[0].center[:2]) - seat
            assert np.dot(back - seat, towards) < 0, (room.seed, o.id)
            checked += 1
    assert checked >= 3


def test_normals_point_out_of_the_faces(rooms: list[Room]) -> None:
    """Flat shading and smooth shading agree on which side is out."""
    room = rooms[0]
    a, b, c = (room.vertices[room.faces[:, k]].astype(np.float64) for k in range(3))
    across = np.cross(b - a, c - a)
    big = np.linalg.norm(across, axis=1) > 1e-7
    agree = np.einsum("ij,ij->i", across, room.normals[room.faces].mean(1))[big] > 0
    assert agree.mean() > 0.999


def test_splits_are_disjoint() -> None:
    seeds = [set(split_seeds(split, 50)) for split in SPLITS]
    assert sum(map(len, seeds)) == len(set.union(*seeds)) == 150
    assert split_seeds("val", 3) == split_seeds("val", 5)[:3] and split_seeds("val", 2, 1) == split_seeds("val", 3)[1:]
    with pytest.raises(InputError, match="no split"):
        split_seeds("testing", 1)
    with pytest.raises(InputError, match="it has"):
        split_seeds("test", 2_000_000)


def crate(size: tuple[float, float, float]) -> Shape:
    body = box(size, (0, 0, size[2] / 2), Material("plain", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)))
    top = Surface((-size[0] / 2, -size[1] / 2), (size[0] / 2, size[1] / 2), size[2])
    return Shape("box", [body], next(iter(COLORS)), "wood", (top,))


def test_layout_keeps_things_apart() -> None:
    """Until nothing fits: every pair of boxes is disjoint, or one stands on the other."""
    layout = FloorPlan((4.0, 4.0, 2.5), np.random.default_rng(0))
    stood = 0
    for k in range(60):
        layout.against_wall(crate((0.6, 0.4, 0.7)))
        layout.in_open(crate((0.3, 0.3, 0.3)))
        stood += layout.on(crate((0.1, 0.1, 0.1)), k % len(layout.placed), turn=None) >= 0
    assert stood > 5
    boxes = [(p.low(), p.high()) for p in layout.placed]
    for i, (low, high) in enumerate(boxes):
        for other_low, other_high in boxes[:i]:
            inside = np.minimum(high, other_high) - np.maximum(low, other_low)
            assert inside.min() < 1e-9


@pytest.mark.parametrize("k", range(4))
def test_walls_turn_things_into_the_room(k: int) -> None:
    layout = FloorPlan((4.0, 5.0, 2.5), np.random.default_rng(0))
    shape = crate((0.6, 0.4, 0.7))
    boxes = part_boxes(shape, layout.on_wall(k, 0.0, 0.2, 0.0), layout.wall_yaw(k))
    gaps = np.array([5 - boxes[0, 1, 1], 4 - boxes[0, 1, 0], boxes[0, 0, 1], boxes[0, 0, 0]])
    assert abs(gaps[k]) < 1e-9 and (np.delete(gaps, k) > 1).all()
