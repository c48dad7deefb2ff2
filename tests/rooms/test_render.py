"""What the camera sees, and the truth about it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seg3r.geometry import invert, look_at, transform, unproject, visible
from seg3r.kernels import shading
from seg3r.rooms import CLASS_IDS, STRUCTURAL, Rendered, Renderer, build_room, camera_path
from seg3r.rooms.path import between, exposure_drift
from seg3r.rooms.texture import PATTERNS
from seg3r.types import Camera

GRAPHICS = ("poster", "rug", "clock", "leaf", "screen", "keys", "view", "shade")
SIZE = (96, 128)
SEED = 3


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer(build_room(SEED))


@pytest.fixture(scope="module")
def views(renderer: Renderer) -> list[tuple[Camera, Rendered]]:
    cameras = camera_path(renderer.room, 60, SEED, SIZE)[::10]
    return [(camera, renderer.render(camera)) for camera in cameras]


def test_depth_is_along_the_axis(renderer: Renderer) -> None:
    """Straight up at the ceiling: one depth all over, wherever only ceiling is seen."""
    _, _, h = renderer.room.size
    K = torch.tensor([[300.0, 0, 64], [0, 300.0, 48], [0, 0, 1]], dtype=torch.float64)
    eye = torch.tensor([0.7, 0.7, 1.2], dtype=torch.float64)
    up = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)
    seen = renderer.render(Camera(K, look_at(eye, eye + torch.tensor([0, 0, 1.0], dtype=torch.float64), up), SIZE))
    ceiling = seen.classes.numpy() == CLASS_IDS["ceiling"]
    assert ceiling.mean() > 0.5
    np.testing.assert_allclose(seen.depth.numpy()[ceiling], h - 1.2, atol=1e-4)


def test_points_lie_on_what_the_maps_say(renderer: Renderer, views: list[tuple[Camera, Rendered]]) -> None:
    boxes = {o.id: np.array(o.box) for o in renderer.room.objects}
    size = np.array(renderer.room.size)
    for camera, seen in views:
        assert (seen.depth > 0).all()
        points = transform(camera.T_world_cam, unproject(seen.depth, camera.K)).numpy()
        assert (points > -0.01).all() and (points < size + 0.01).all()
        ids = seen.instances.numpy()
        for i in np.unique(ids[ids > 0]):
            low, high = boxes[int(i)]
            assert (points[ids == i] > low - 0.01).all() and (points[ids == i] < high + 0.01).all()
        floor = seen.classes.numpy() == CLASS_IDS["floor"]
        assert np.abs(points[floor][:, 2]).max(initial=0) < 1e-3


def test_structure_has_no_instance(renderer: Renderer, views: list[tuple[Camera, Rendered]]) -> None:
    names = {o.id: o.name for o in renderer.room.objects}
    structural = [CLASS_IDS[name] for name in STRUCTURAL]
    found = set()
    for _, seen in views:
        ids, classes = seen.instances.numpy(), seen.classes.numpy()
        np.testing.assert_array_equal(ids == 0, np.isin(classes, structural))
        for i in np.unique(ids[ids > 0]):
            assert set(classes[ids == i]) == {CLASS_IDS[names[int(i)]]}
            found.add(int(i))
    assert len(found) >= 6


def test_pictures_have_light_and_texture(views: list[tuple[Camera, Rendered]]) -> None:
    for _, seen in views:
        gray = seen.rgb.numpy().astype(float).mean(-1)
        assert 60 < gray.mean() < 225 and gray.std() > 12
        assert (gray > 252).mean() < 0.3
        # Even bare walls are mottled.
        wall = seen.classes.numpy() == CLASS_IDS["wall"]
        step = np.abs(np.diff(gray, axis=1))[wall[:, 1:] & wall[:, :-1]]
        assert step.size == 0 or (step > 0).mean() > 0.3


def test_same_bytes_again(views: list[tuple[Camera, Rendered]]) -> None:
    fresh = Renderer(build_room(SEED))
    camera, seen = views[2]
    again = fresh.render(camera)
    for name in ("rgb", "depth", "instances", "classes", "cosine"):
        assert torch.equal(getattr(seen, name), getattr(again, name)), name


def test_light_and_shadow(renderer: Renderer) -> None:
    """Under furniture it is darker than on the open floor."""
    light, _, start = renderer.light
    room = renderer.room
    floor = np.flatnonzero(room.face_class == CLASS_IDS["floor"])
    values = np.concatenate([light[start[f] : start[f + 1]].mean(1) for f in floor])
    assert values.min() < 0.4 * np.median(values) and (light >= 0).all() and np.isfinite(light).all()


def test_the_shader_knows_the_patterns() -> None:
    assert [getattr(shading, name.upper()) for name in PATTERNS] == list(range(len(PATTERNS)))


ROW = np.array([0.4, 0.3, 0.2, 0.8, 0.7, 0.9, 0.08, 1, 0, 0.37, 0], np.float32)
"""A material of any pattern, features of 8 cm."""


@given(st.floats(-1, 1), st.floats(-1, 1), st.floats(-1, 1), st.integers(0, len(PATTERNS) - 1), st.floats(1, 40))
@settings(max_examples=100, deadline=None)
def test_colours_are_finite(x: float, y: float, z: float, kind: int, reach: float) -> None:
    """Solid patterns go on without end, graphics fill -1..1."""
    if PATTERNS[kind] not in GRAPHICS:
        x, y, z = x * reach, y * reach, z * reach
    near, far = (shading.albedo(kind, x, y, z, ROW, foot) for foot in (0.001, 0.5))
    assert np.isfinite([near, far]).all() and min(*near, *far) > -0.2 and max(*near, *far) < 2.0


def test_every_pattern_shows_from_near_and_fine_ones_fade() -> None:
    """What a pixel cannot resolve would flicker: wood from 50 m away is one colour."""
    line = np.linspace(-0.9, 0.9, 80)
    for kind, name in enumerate(PATTERNS):
        near = np.array([shading.albedo(kind, d, 0.7 * d, 0.05, ROW, 0.001) for d in line])
        assert np.ptp(near, axis=0).max() > 0.01, name
    for name in ("plaster", "wood", "carpet", "weave", "plain"):
        far = np.array([shading.albedo(PATTERNS.index(name), d, 0.7 * d, 0.05, ROW, 1.0) for d in line])
        assert np.ptp(far, axis=0).max() < 0.02, name


def test_a_point_keeps_its_colour(renderer: Renderer) -> None:
    """Textures are functions of the point on the object: seen again from elsewhere it looks the same."""
    here, there = camera_path(renderer.room, 60, SEED, (240, 320))[20:24:3]
    a, b = renderer.render(here), renderer.render(there)
    points = transform(here.T_world_cam, unproject(a.depth, here.K)).reshape(-1, 3).to(torch.float64)
    seen, pixels = visible(transform(invert(there.T_world_cam), points), there.K, b.depth, 0.005)
    old = a.rgb.reshape(-1, 3)[seen].float()
    new = b.rgb[pixels[seen, 0], pixels[seen, 1]].float()
    assert float(seen.float().mean()) > 0.3
    right = float((old - new).abs().mean())
    wrong = float((old - new[torch.randperm(len(new), generator=torch.Generator().manual_seed(0))]).abs().mean())
    assert right < 6 and right < 0.2 * wrong


def test_exposure(renderer: Renderer, views: list[tuple[Camera, Rendered]]) -> None:
    camera, seen = views[0]
    dark = renderer.render(camera, exposure=0.5)
    assert dark.rgb.float().mean() < 0.85 * seen.rgb.float().mean()
    assert torch.equal(dark.depth, seen.depth)
    drift = [exposure_drift(SEED, k, 0.5) for k in range(60)]
    assert 2**-0.5 <= min(drift) < 0.95 and 1.05 < max(drift) <= 2**0.5
    assert exposure_drift(SEED, 7, 0.0) == 1.0


def test_motion_blur(renderer: Renderer) -> None:
    """Blur smooths along the motion and leaves the truth alone."""
    here, there = camera_path(renderer.room, 2, SEED, SIZE)
    also = [between(here, there, s) for s in (0.3, 0.6, 0.9)]
    still, moving = renderer.render(here), renderer.render(here, also=also)
    rough, smooth = (np.abs(np.diff(r.rgb.numpy().astype(float), axis=1)).mean() for r in (still, moving))
    assert smooth < 0.9 * rough
    assert torch.equal(still.instances, moving.instances)
