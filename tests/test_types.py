"""The nouns refuse what is not their shape, and say what they wanted."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import config

from seg3r.errors import InputError
from seg3r.geometry import project, unproject
from seg3r.types import (
    Answer,
    Camera,
    Frame,
    Keyframe,
    Labels,
    Masks,
    Matches,
    Segments,
    TensorFields,
    View,
    check_camera,
)

K = torch.tensor([[50.0, 0, 19.5], [0, 55, 14.5], [0, 0, 1]], dtype=torch.float64)
EYE = torch.eye(4, dtype=torch.float64)
CAMERA = Camera(K, EYE, (30, 40))
RGB = torch.zeros(30, 40, 3, dtype=torch.uint8)
FRAME = Frame(3, 0.1, RGB, torch.ones(30, 40), CAMERA)


def view(**other: object) -> View:
    parts = {
        "frame": FRAME, "camera": CAMERA, "depth": torch.ones(30, 40), "points": torch.zeros(30, 40, 3),
        "confidence": torch.ones(30, 40),
    }
    return View(**{**parts, **other})  # type: ignore[arg-type]


def masks(m: int = 3) -> Masks:
    return Masks(
        torch.zeros(m, 4, 5, dtype=torch.bool), torch.arange(m) / 10, torch.arange(2.0 * m).reshape(m, 2),
        torch.arange(3.0 * m).reshape(m, 3), tuple(f"n{i}" for i in range(m)),
    )


def segments(**other: object) -> Segments:
    parts = {
        "points": torch.zeros(6, 3), "colors": torch.zeros(6, 3, dtype=torch.uint8),
        "segment_ids": torch.tensor([0, 0, 0, 1, 1, 1]), "pixels": torch.zeros(6, 2, dtype=torch.int64),
        "scores": torch.ones(2), "areas": torch.ones(2), "frame_index": 0,
    }
    return Segments(**{**parts, **other})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Camera(K.float(), EYE, (30, 40)), r"Camera\.K: expected Float64\[3 3\], got float32\[3, 3\]"),
        (lambda: Camera(K, EYE[:3], (30, 40)), r"Camera\.T_world_cam: expected Float64\[4 4\], got float64\[3, 4\]"),
        (lambda: Frame(0, 0.0, RGB.numpy()), r"Frame\.rgb: expected UInt8\[H W 3\], got ndarray"),  # type: ignore[arg-type]
        (lambda: view(depth=None), r"View\.depth: expected Float32\[H W\], got NoneType"),
        (lambda: Frame(0, 0.0, RGB.permute(2, 0, 1)), r"Frame\.rgb: expected UInt8\[H W 3\], got uint8\[3, 30, 40\]"),
        (lambda: Frame(0, 0.0, RGB, torch.ones(40, 30)), r"Frame\.depth: expected Float32\[H W\], got float32"),
        (lambda: view(points=torch.zeros(40, 30, 3)), r"View\.points: expected Float32\[H W 3\], got float32\[40, 30"),
        (lambda: view(confidence=torch.ones(30, 40).bool()), r"View\.confidence: expected Float32\[H W\], got bool"),
        (
            lambda: view(tokens=torch.zeros(3, 4, 8), state_attention=torch.zeros(9, 4, 3)),
            r"View\.state_attention: expected Float32\[s h w\], got float32\[9, 4, 3\]",
        ),
        (lambda: Masks(torch.zeros(2, 4, 5), torch.ones(2)), r"Masks\.masks: expected Bool\[m H W\], got float32"),
        (
            lambda: Masks(torch.zeros(2, 4, 5, dtype=torch.bool), torch.ones(3)),
            r"Masks\.scores: expected Float32\[m\], got float32\[3\]",
        ),
        (lambda: dataclasses.replace(masks(), features=torch.ones(2, 2)), r"Masks\.features: expected Float32\[m d\]"),
        (lambda: dataclasses.replace(masks(), names=("a",)), r"Masks\.names: expected 3 names, got 1"),
        (lambda: segments(pixels=torch.zeros(5, 2, dtype=torch.int64)), r"Segments\.pixels: expected Int\[n 2\]"),
        (lambda: segments(segment_ids=torch.zeros(6)), r"Segments\.segment_ids: expected Int\[n\], got float32\[6\]"),
        (lambda: segments(areas=torch.ones(3)), r"Segments\.areas: expected Float32\[m\], got float32\[3\]"),
        (lambda: segments(names=("a", "b", "c")), r"Segments\.names: expected 2 names, got 3"),
        (lambda: Matches(torch.tensor([1, 2]), torch.ones(1)), r"Matches\.scores: expected Float32\[m\], got"),
        (lambda: Labels(("a",), torch.ones(2)), r"Labels\.names: expected 2 names, got 1"),
        (lambda: Answer("q", (), (), None, torch.ones(3)), r"Answer\.mask: expected Bool\[n\], got float32\[3\]"),
        (
            lambda: Keyframe(0, CAMERA, torch.ones(3, 4), torch.zeros(2, 2, dtype=torch.uint8), torch.zeros(3).long()),
            r"Keyframe\.instance_ids: expected Int\[m\], got int64\[3\]",
        ),
    ],
)
def test_a_wrong_shape_names_field_wanted_and_got(
    make: Callable[[], object], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a user meets it: without the checks that the tests put around every function."""
    monkeypatch.setattr(config, "jaxtyping_disable", True)
    with pytest.raises(InputError, match=says) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_optional_fields_may_be_absent() -> None:
    assert Frame(0, 0.0, RGB).depth is None
    assert view().tokens is None
    assert len(segments()) == 2
    assert len(Masks(torch.zeros(0, 4, 5, dtype=torch.bool), torch.zeros(0))) == 0


@pytest.mark.parametrize("thing", [CAMERA, FRAME, view(), masks(), segments()], ids=lambda t: type(t).__name__)
def test_to_moves_every_tensor_and_nothing_else(thing: TensorFields) -> None:
    there = thing.to("meta")
    for field in dataclasses.fields(thing):  # type: ignore[arg-type]
        value, was = getattr(there, field.name), getattr(thing, field.name)
        if isinstance(was, torch.Tensor):
            assert value.is_meta
            assert (value.shape, value.dtype) == (was.shape, was.dtype)
        elif isinstance(was, TensorFields):
            assert type(value) is type(was)
        else:
            assert value == was


def test_masks_are_picked_with_all_they_carry() -> None:
    all_of_them = masks()
    for keep in (torch.tensor([True, False, True]), torch.tensor([0, 2])):
        part = all_of_them[keep]
        assert part.scores.tolist() == pytest.approx([0.0, 0.2])
        assert part.names == ("n0", "n2")
        assert part.features is not None and part.features.tolist() == [[0, 1], [4, 5]]
        assert part.identity is not None and part.identity[:, 0].tolist() == [0, 6]
    assert all_of_them[torch.tensor([2, 0, 0])].names == ("n2", "n0", "n0")
    assert len(all_of_them[torch.zeros(3, dtype=torch.bool)]) == 0


@settings(max_examples=50, deadline=None)
@given(sy=st.floats(0.1, 5), sx=st.floats(0.1, 5), u=st.floats(-0.5, 39.5), v=st.floats(-0.5, 29.5))
def test_a_scaled_camera_sees_the_same_rays(sy: float, sx: float, u: float, v: float) -> None:
    """A place, as a share of the image from corner to corner, keeps its ray; there and back is the same camera."""
    size = (max(1, round(30 * sy)), max(1, round(40 * sx)))
    scaled = CAMERA.scaled(size)
    ray = torch.tensor([(u - 19.5) / 50, (v - 14.5) / 55, 1.0], dtype=torch.float64)
    there = project(ray, scaled.K)[0]
    assert float(there[0] + 0.5) / size[1] == pytest.approx((u + 0.5) / 40, abs=1e-9)
    assert float(there[1] + 0.5) / size[0] == pytest.approx((v + 0.5) / 30, abs=1e-9)
    assert scaled.size == size
    assert torch.allclose(scaled.scaled(CAMERA.size).K, K)
    assert torch.equal(CAMERA.K, K), "the original stays"


def test_half_the_size_by_averaging_four_pixels_is_scaled() -> None:
    half = CAMERA.scaled((15, 20))
    points, small = unproject(torch.ones(30, 40).double(), K), unproject(torch.ones(15, 20).double(), half.K)
    mean = points.reshape(15, 2, 20, 2, 3).mean((1, 3))
    assert torch.allclose(mean, small)


def camera(size: tuple[int, int] = (30, 40), **entries: float) -> Camera:
    """With entries like K02=... or T33=... put in."""
    parts = {"K": K.clone(), "T": EYE.clone()}
    for name, value in entries.items():
        parts[name[0]][int(name[1]), int(name[2])] = value
    return Camera(parts["K"], parts["T"], size)


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (camera(T03=float("nan")), "pose is not finite"),
        (camera(T11=float("inf")), "pose is not finite"),
        (camera(T00=1.01), r"pose is not a rigid motion \(R R\^T is off the identity by 0\.02\)"),
        (camera(T01=0.2), "pose is not a rigid motion"),
        (camera(T00=0, T11=0, T22=0), "pose is not a rigid motion"),
        (camera(T22=-1), "pose is not a rigid motion"),
        (camera(T30=1), "pose has a last row other than 0 0 0 1"),
        (camera(T33=0), "pose has a last row other than 0 0 0 1"),
        (camera(K00=float("nan")), "intrinsics need finite, positive focal lengths"),
        (camera(K02=float("inf")), "intrinsics need finite, positive focal lengths"),
        (camera(K00=-50), "intrinsics need finite, positive focal lengths"),
        (camera(K11=0), "intrinsics need finite, positive focal lengths"),
        (camera(K02=41), r"principal point \(41\.0, 14\.5\) in an image of 40x30"),
        (camera(K12=-1), r"principal point \(19\.5, -1\.0\) in an image of 40x30"),
        (camera(size=(14, 40)), "intrinsics do not fit the image"),
        (camera(K22=0.001), "intrinsics do not fit the image"),
    ],
)
def test_what_is_no_camera_is_refused(bad: Camera, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        check_camera(bad)
    assert "\n" not in str(caught.value)


def test_a_pose_of_few_digits_is_a_camera() -> None:
    rotation = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))[0]
    pose = EYE.clone()
    pose[:3, :3] = (rotation * torch.linalg.det(rotation).sign()).mul(1e4).round() / 1e4
    check_camera(Camera(K, pose, (30, 40)))
    check_camera(CAMERA)
    with pytest.raises(InputError, match="rigid"):
        check_camera(Camera(K, pose, (30, 40)), tolerance=1e-7)
