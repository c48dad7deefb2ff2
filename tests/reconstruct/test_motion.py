"""Motion between two frames of known depth."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np

from seg3r.geometry import unproject
from seg3r.reconstruct.motion import FlowMotion, FlowView
from seg3r.sources.rooms import RoomsSource


@cache
def walk() -> tuple[list[FlowView], list[np.ndarray], np.ndarray]:
    source = RoomsSource(7, frames=5, size=(120, 160), depth="clean")
    seen, poses = [], []
    for frame in source:
        assert frame.depth is not None and frame.camera is not None
        gray = cv2.cvtColor(frame.rgb.numpy(), cv2.COLOR_RGB2GRAY).astype(np.uint8)
        seen.append(FlowView(gray, unproject(frame.depth, frame.camera.K.float()).numpy()))
        poses.append(frame.camera.T_world_cam.numpy())
    return seen, poses, source.cameras[0].K.numpy()


def apart(found: np.ndarray, true: np.ndarray) -> tuple[float, float]:
    """Metres and degrees."""
    off = np.linalg.inv(true) @ found
    cosine = np.clip((np.trace(off[:3, :3]) - 1) / 2, -1, 1)
    return float(np.linalg.norm(off[:3, 3])), float(np.degrees(np.arccos(cosine)))


def test_true_depth_gives_the_true_step() -> None:
    seen, poses, K = walk()
    off = []
    for n in range(4):
        found = FlowMotion()(seen[n], seen[n + 1], K)
        assert found is not None
        off.append(apart(found, np.linalg.inv(poses[n]) @ poses[n + 1]))
    moved_m, turned = np.median(off, axis=0)
    assert moved_m < 0.04 and turned < 0.7


def test_forth_and_back_are_inverse() -> None:
    seen, _, K = walk()
    there, back = FlowMotion()(seen[0], seen[1], K), FlowMotion()(seen[1], seen[0], K)
    assert there is not None and back is not None
    moved_m, turned = apart(there @ back, np.eye(4))
    assert moved_m < 0.01 and turned < 0.2


def test_depth_in_other_units_gives_a_step_in_those() -> None:
    seen, _, K = walk()
    one = FlowMotion()(seen[0], seen[1], K)
    # Two to the power of a whole number: nothing is rounded otherwise.
    two = FlowMotion()(seen[0]._replace(points=seen[0].points * 2), seen[1]._replace(points=seen[1].points * 2), K)
    assert one is not None and two is not None
    assert np.allclose(two[:3, 3], 2 * one[:3, 3], atol=2e-3) and np.allclose(two[:3, :3], one[:3, :3], atol=1e-3)


def test_a_camera_that_stands_still_does_so() -> None:
    seen, _, K = walk()
    found = FlowMotion()(seen[2], seen[2], K)
    assert found is not None and apart(found, np.eye(4))[0] < 1e-3


def test_nothing_to_see_gives_no_answer() -> None:
    seen, _, K = walk()
    black = seen[0]._replace(points=np.zeros_like(seen[0].points))
    assert FlowMotion()(seen[0], black, K) is None
    assert FlowMotion()(black, black, K) is None


def test_the_same_frames_give_the_same_numbers() -> None:
    seen, _, K = walk()
    one, two = FlowMotion()(seen[1], seen[2], K), FlowMotion()(seen[1], seen[2], K)
    assert one is not None and two is not None and np.array_equal(one, two)
