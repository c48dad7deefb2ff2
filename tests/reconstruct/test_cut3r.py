"""CUT3R in the socket: sizes, cameras, memory, errors. With random weights: what holds for any."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from seg3r.errors import InputError
from seg3r.geometry import invert, project, transform
from seg3r.models.cut3r import Cut3r, Pose
from seg3r.protocols import Reconstructor, Remembers
from seg3r.reconstruct.cut3r import Cut3rReconstructor, focal_of, load_cut3r, matrix, network_input
from seg3r.sources.rooms import RoomsSource
from seg3r.types import Frame, View
from tests.models.cut3r.tiny import random_model


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    return list(RoomsSource(11, frames=6, size=(90, 120), depth="clean"))


def twin(**changes: object) -> Cut3r:
    """Sees everything about a metre away, like a network that has not learnt."""
    model = random_model(focal=0.8, world=False, **changes)
    with torch.no_grad():
        model.self_head.dense.out.weight *= 0.1
    return model


def reconstructor(**given: object) -> Cut3rReconstructor:
    return Cut3rReconstructor(twin(), side=96, view_side=120, least_confidence=1.0, **given)  # type: ignore[arg-type]


def views(stage: Cut3rReconstructor, frames: list[Frame]) -> list[View]:
    return [view for frame in frames for view in stage(frame)]


@pytest.mark.parametrize(("size", "side", "expected"), [
    ((480, 640), 512, (384, 512)), ((968, 1296), 512, (368, 512)), ((360, 540), 512, (336, 512)),
    ((640, 480), 512, (512, 384)), ((512, 512), 512, (384, 512)), ((90, 120), 96, (64, 96)),
])
def test_images_are_scaled_and_cut_as_cut3r_does(
    size: tuple[int, int], side: int, expected: tuple[int, int]
) -> None:
    column = torch.arange(size[1]).float() / size[1] * 255
    rgb = column[None, :, None].expand(size[0], -1, 3).to(torch.uint8).contiguous()
    small, (top, left, bottom, right) = network_input(rgb, side, 16)
    assert tuple(small.shape[:2]) == expected
    assert 0 <= top < bottom <= size[0] and 0 <= left < right <= size[1]
    assert abs(top - (size[0] - bottom)) < 2 * size[0] / side and abs(left - (size[1] - right)) < 2 * size[1] / side
    assert float(small[0, 0, 0]) == pytest.approx(left / size[1] * 255, abs=3)


def test_too_narrow_an_image_is_refused() -> None:
    with pytest.raises(InputError, match="too narrow"):
        network_input(torch.zeros(10, 400, 3, dtype=torch.uint8), 96, 16)


def test_it_fits_its_sockets() -> None:
    assert isinstance(reconstructor(), Reconstructor) and isinstance(reconstructor(), Remembers)


def test_points_agree_with_camera_and_depth(frames: list[Frame]) -> None:
    for view in views(reconstructor(), frames):
        assert view.frame.depth is None and view.frame.camera is None
        assert view.camera.size == tuple(view.depth.shape) == (90, 120)
        local = transform(invert(view.camera.T_world_cam), view.points.double())
        at, z = project(local.reshape(-1, 3), view.camera.K)
        known = (view.depth > 0).flatten()
        rows, columns = torch.meshgrid(torch.arange(90.0), torch.arange(120.0), indexing="ij")
        pixels = torch.stack((columns, rows), -1).reshape(-1, 2).double()
        assert float((at - pixels)[known].abs().max()) < 1e-2
        assert torch.allclose(z[known].float(), view.depth.flatten()[known], atol=1e-4)


def test_what_the_crop_leaves_out_has_no_depth(frames: list[Frame]) -> None:
    view = reconstructor()(frames[0])[0]
    assert view.window is not None and view.tokens is not None and view.state_attention is not None
    top, left, bottom, right = view.window
    assert (left, right) == (0, 120) and (top, bottom) == (5, 85)
    assert not view.depth[:top].any() and not view.depth[bottom:].any() and bool((view.depth[top:bottom] > 0).all())
    assert tuple(view.tokens.shape) == (4, 6, 48) and tuple(view.state_attention.shape) == (30, 4, 6)
    assert float(view.state_attention.sum((1, 2)).max()) < 1


@pytest.mark.parametrize("pose", ["head", "solver"])
def test_what_is_put_down_can_be_taken_up(frames: list[Frame], pose: str) -> None:
    whole = views(reconstructor(pose=pose, reset_every=4), frames)
    first = reconstructor(pose=pose, reset_every=4)
    start = views(first, frames[:3])
    second = reconstructor(pose=pose, reset_every=4)
    second.restore({name: value.clone() for name, value in first.state().items()})
    for one, two in zip(whole, start + views(second, frames[3:]), strict=True):
        assert torch.equal(one.points, two.points) and torch.equal(one.camera.K, two.camera.K)
        assert torch.equal(one.state_attention, two.state_attention)  # type: ignore[arg-type]


def test_a_forgotten_memory_is_a_new_beginning(frames: list[Frame]) -> None:
    stage = reconstructor()
    one = views(stage, frames[:2])
    stage.reset()
    two = views(stage, frames[:2])
    assert torch.equal(one[1].points, two[1].points)


def test_a_view_does_not_depend_on_what_follows(frames: list[Frame]) -> None:
    short, long = views(reconstructor(), frames[:3]), views(reconstructor(), frames)
    assert all(torch.equal(a.points, b.points) for a, b in zip(short, long, strict=False))


def test_a_reset_ties_the_new_world_to_the_old(frames: list[Frame]) -> None:
    """The frame that both worlds saw stands where it stood."""
    stage = reconstructor(reset_every=3)
    poses = [view.camera.T_world_cam for view in views(stage, frames)]
    assert torch.allclose(poses[2], views(reconstructor(), frames[:3])[2].camera.T_world_cam)
    lone = reconstructor()
    again = [v.camera.T_world_cam for v in views(lone, [frames[2], *frames[3:]])]
    tied = poses[2] @ torch.linalg.inv(again[0])
    assert torch.allclose(poses[3], tied @ again[1], atol=1e-6)


def test_the_gate_changes_what_follows_only(frames: list[Frame]) -> None:
    plain, gated = views(reconstructor(), frames[:3]), views(reconstructor(gate=True), frames[:3])
    assert torch.equal(plain[0].points, gated[0].points)
    assert not torch.equal(plain[2].tokens, gated[2].tokens)  # type: ignore[arg-type]


def test_a_black_frame_and_a_cut_leave_the_solver_standing(frames: list[Frame]) -> None:
    black = Frame(99, 9.9, torch.zeros_like(frames[0].rgb))
    seen = views(reconstructor(pose="solver"), [frames[0], black, frames[1]])
    assert len(seen) == 3
    assert all(bool(torch.isfinite(view.points).all()) for view in seen)
    assert torch.equal(seen[1].camera.T_world_cam, seen[0].camera.T_world_cam)


def test_a_frame_of_another_size_is_named(frames: list[Frame]) -> None:
    stage = reconstructor()
    stage(frames[0])
    with pytest.raises(InputError, match="frame 7 is 100x90, those before it 120x90"):
        stage(Frame(7, 0.7, torch.zeros(90, 100, 3, dtype=torch.uint8)))


@pytest.mark.parametrize("focal", [60.0, 85.0, 140.0])
def test_the_focal_length_of_a_pointmap(focal: float) -> None:
    generator = torch.Generator().manual_seed(0)
    rows, columns = torch.meshgrid(torch.arange(64) - 31.5, torch.arange(96) - 47.5, indexing="ij")
    z = 1 + 3 * torch.rand(64, 96, generator=generator)
    points = torch.stack((columns / focal * z, rows / focal * z, z), dim=-1)
    wrong = torch.rand(64, 96, generator=generator) < 0.2
    points[wrong] += torch.randn(int(wrong.sum()), 3, generator=generator)
    assert focal_of(points, torch.ones(64, 96)) == pytest.approx(focal, rel=0.02)


def test_a_pose_as_a_matrix() -> None:
    half = 0.5**0.5
    T = matrix(Pose(torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[half, 0.0, half, 0.0]])))
    assert torch.allclose(T @ torch.tensor([0, 0, 1, 1.0]).double(), torch.tensor([2.0, 2, 3, 1]).double(), atol=1e-6)


def saved(model: Cut3r, folder: Path) -> dict[str, Tensor]:
    weights = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(weights, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(asdict(model.config)))
    return weights


def test_a_folder_comes_back_as_it_was_written(tmp_path: Path) -> None:
    weights = saved(twin(), tmp_path)
    loaded = load_cut3r(tmp_path)
    assert loaded.config == twin().config
    assert all(torch.equal(value, weights[name]) for name, value in loaded.state_dict().items())


@pytest.mark.parametrize("flaw", ["cut", "other", "unknown", "nothing"])
def test_weights_that_do_not_fit_are_refused_in_one_line(tmp_path: Path, flaw: str) -> None:
    saved(twin(), tmp_path)
    if flaw == "cut":
        whole = (tmp_path / "model.safetensors").read_bytes()
        (tmp_path / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    elif flaw == "other":
        save_file({"a": torch.ones(2)}, tmp_path / "model.safetensors")
    elif flaw == "unknown":
        (tmp_path / "config.json").write_text('{"hidden_size": 3}')
    else:
        (tmp_path / "model.safetensors").unlink()
    with pytest.raises(InputError) as caught:
        load_cut3r(tmp_path)
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)


def test_the_memory_of_another_network_is_refused(frames: list[Frame]) -> None:
    stage = reconstructor()
    stage(frames[0])
    other = Cut3rReconstructor(twin(states=12), side=96)
    with pytest.raises(InputError, match="another CUT3R"):
        other.restore(stage.state())
    with pytest.raises(InputError, match="lacks"):
        other.restore({})
