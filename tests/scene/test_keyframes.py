"""Which views are kept, and what is kept of them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from seg3r.errors import InputError
from seg3r.geometry import project
from seg3r.reconstruct.sensor import Sensor
from seg3r.scene import keyframes as room
from seg3r.scene.keyframes import Keyframes, reduce_view
from seg3r.types import Masks, View
from tests.loops import masks_of, segments_of
from tests.worlds import table_scene, walk

ROOM = walk(table_scene(), 2, (12, 16))
VIEW = Sensor().view(ROOM[0][0])
EMPTY = segments_of(VIEW, Masks(torch.zeros(0, 12, 16, dtype=torch.bool), torch.zeros(0)))
NONE = np.empty(0, np.int64)


def turned(x: float, degrees: float, index: int = 0) -> View:
    angle = np.radians(degrees)
    T = torch.eye(4, dtype=torch.float64)
    T[0, 0] = T[2, 2] = float(np.cos(angle))
    T[0, 2], T[2, 0] = float(np.sin(angle)), -float(np.sin(angle))
    T[0, 3] = x
    frame = dataclasses.replace(VIEW.frame, index=index)
    return dataclasses.replace(VIEW, frame=frame, camera=dataclasses.replace(VIEW.camera, T_world_cam=T))


def offer(kept: Keyframes, view: View) -> None:
    kept.offer(view, EMPTY, NONE)


def test_a_view_is_kept_if_it_is_far_or_turned() -> None:
    kept = Keyframes()
    for x, degrees, count in [(0, 0, 1), (0, 0, 1), (0.04, 3, 1), (0.06, 0, 2), (0.02, 7, 3), (0.05, 7, 3), (0, 0, 3)]:
        offer(kept, turned(x, degrees))
        assert len(kept) == count, (x, degrees)


def test_walking_on_hits_the_cap_and_widens_the_spacing() -> None:
    kept, counts = Keyframes(), []
    for i in range(3 * room.CAP):
        offer(kept, turned(0.06 * i, 0, i))
        counts.append(len(kept))
    assert counts[room.CAP - 1] == room.CAP
    assert max(counts) == room.CAP
    frames = [k.frame_index for k in kept]
    assert frames == sorted(frames)
    assert frames[0] == 0
    assert max(np.diff(frames)) <= 6, "the end and the beginning are covered alike"
    assert 0.06 * np.diff(frames).min() >= kept._spacing * room.NEAR_M - 1e-9, "no two closer than the spacing"
    assert np.array_equal(kept._places[:, 0], [float(k.camera.T_world_cam[0, 3]) for k in kept])
    before = len(kept)
    for i in range(3 * room.CAP):
        offer(kept, turned(0.06 * i, 0, i))
    assert len(kept) <= max(before, room.CAP)


def test_the_reduced_view_is_the_view() -> None:
    """Depth is picked, never averaged; a point projects to the same place; masks cover what the segments cover."""
    frame, ids = walk(table_scene(), 1, (240, 320))[0]
    view = Sensor().view(frame)
    segments = segments_of(view, masks_of(ids))
    names = np.arange(len(segments)) + 5
    keyframe = reduce_view(view, segments, names)
    h, w = keyframe.camera.size
    assert (h, w) == (120, 160)
    assert torch.equal(keyframe.depth, view.depth[::2, ::2].half())
    inside = torch.tensor([[0.1, -0.2, 2.0], [0.4, 0.3, 1.5]], dtype=torch.float64)
    full, reduced = project(inside, view.camera.K)[0], project(inside, keyframe.camera.K)[0]
    assert torch.allclose(full / 2, reduced)
    bits = np.unpackbits(keyframe.packed_masks.numpy(), axis=1, count=h * w).reshape(-1, h, w).astype(bool)
    assert keyframe.instance_ids.tolist() == names.tolist()
    for s in range(len(segments)):
        expected = np.zeros((h, w), bool)
        rows, columns = (segments.pixels[segments.segment_ids == s].numpy() // 2).T
        expected[rows, columns] = True
        assert np.array_equal(bits[s], expected)


@pytest.mark.parametrize("size", [(7, 9), (50, 161), (97, 243), (31, 645)])
def test_odd_sizes_fit(size: tuple[int, int]) -> None:
    frame, ids = walk(table_scene(), 1, size)[0]
    view = Sensor().view(frame)
    segments = segments_of(view, masks_of(ids))
    keyframe = reduce_view(view, segments, np.zeros(len(segments), np.int64))
    h, w = keyframe.camera.size
    assert tuple(keyframe.depth.shape) == (h, w)
    assert w <= 1.5 * room.WIDTH
    bits = np.unpackbits(keyframe.packed_masks.numpy(), axis=1, count=h * w)
    assert ((bits.sum(1) > 0) == (torch.bincount(segments.segment_ids, minlength=len(segments)) > 0).numpy()).all()


def test_rename_and_copy() -> None:
    frame, ids = ROOM[0]
    segments = segments_of(Sensor().view(frame), masks_of(ids))
    kept = Keyframes()
    kept.offer(VIEW, segments, np.arange(len(segments)))
    twin = kept.copy()
    twin.rename(0, 1)
    twin.rename(2, -1)
    assert next(iter(kept)).instance_ids[:3].tolist() == [0, 1, 2]
    assert next(iter(twin)).instance_ids[:3].tolist() == [1, 1, -1]


def test_at_names_the_nearest() -> None:
    kept = Keyframes()
    with pytest.raises(InputError, match="the map has no keyframes"):
        kept.at(3)
    offer(kept, turned(0, 0, 10))
    offer(kept, turned(1, 0, 20))
    assert kept.at(20).frame_index == 20
    with pytest.raises(InputError, match="frame 17 is not a keyframe; the nearest is 20"):
        kept.at(17)


def test_extend_takes_over_under_new_names() -> None:
    frame, ids = ROOM[0]
    segments = segments_of(Sensor().view(frame), masks_of(ids))
    one, two = Keyframes(), Keyframes()
    offer(one, turned(3, 0, 1))
    two.offer(VIEW, segments, np.arange(len(segments)))
    one.extend(two, {0: 70})
    assert [k.frame_index for k in one] == [1, VIEW.frame.index]
    assert list(one)[1].instance_ids.tolist() == [70] + [-1] * (len(segments) - 1)
    offer(one, VIEW)
    assert len(one) == 2, "a view taken over counts as seen"
    assert next(iter(two)).instance_ids[0] == 0


