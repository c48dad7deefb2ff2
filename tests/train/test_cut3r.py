"""Training a small CUT3R: its data, its losses, and that it learns and goes on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from seg3r.geometry import transform
from seg3r.models.cut3r import Cut3rConfig, Pose
from seg3r.reconstruct.cut3r import load_cut3r, matrix
from seg3r.train.cut3r import ClipBatches, lit, point_loss, pose_loss, quaternions, train_cut3r
from seg3r.train.data.walks import Walks, render_walks

SIZE = (48, 64)
SMALL = Cut3rConfig(
    stem=(8,), encoder_width=32, encoder_depth=2, encoder_heads=2, decoder_width=32, decoder_depth=4, decoder_heads=2,
    state_heads=4, states=12, slots=4, memory_depth=1, pyramid=(8, 8, 16, 16), features=8, last=8, focal=0.79,
    world=False,
)


@pytest.fixture(scope="module")
def walks(tmp_path_factory: pytest.TempPathFactory) -> Walks:
    return render_walks([5, 6], tmp_path_factory.mktemp("walks"), frames=12, size=SIZE)


def test_points_of_a_clip_stand_still_in_the_world(walks: Walks) -> None:
    """Mirrored or not: one surface, seen from all its cameras."""
    batches = ClipBatches(walks)
    for step in range(6):
        batch = batches(step, 1, 3)
        near = []
        for t in range(3):
            world = transform(batch.poses[0, t], batch.points[0, t].reshape(-1, 3))
            near.append(world[batch.points[0, t].reshape(-1, 3)[:, 2] > 0])
        apart = torch.cdist(near[1], near[0]).min(1).values
        assert float(apart.median()) < 0.06
        assert torch.allclose(batch.poses[0, 0], torch.eye(4), atol=1e-6)


def test_a_step_sees_the_same_whenever_it_is_taken(walks: Walks) -> None:
    one, two = ClipBatches(walks)(7, 2, 2), ClipBatches(walks)(7, 2, 2)
    assert torch.equal(one.images, two.images) and torch.equal(one.points, two.points)
    assert not torch.equal(one.images, ClipBatches(walks)(8, 2, 2).images)


def test_light_changes_all_frames_of_a_clip_alike() -> None:
    image = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0)).expand(2, -1, -1, -1)
    for seed in range(8):
        changed = lit(image, np.random.default_rng(seed))
        assert float(changed.min()) >= 0 and float(changed.max()) <= 1
        assert float((changed[0] - changed[1]).abs().mean()) < 0.04  # noise alone


def test_losses_are_least_at_the_truth() -> None:
    truth = torch.rand(1, 4, 5, 3) + 1
    sure = torch.full((1, 4, 5), 3.0)
    exact = point_loss(truth, sure, truth)
    assert float(exact) == pytest.approx(-0.2 * float(torch.tensor(3.0).log()))
    assert float(point_loss(truth * 1.1, sure, truth)) > float(exact)
    missing = truth.clone()
    missing[0, 0] = 0
    wild = truth.clone()
    wild[0, 0] = 100
    assert float(point_loss(wild, sure, missing)) == pytest.approx(float(exact))


def test_quaternions_and_poses_agree_with_matrices() -> None:
    torch.manual_seed(0)
    q = torch.nn.functional.normalize(torch.cat((torch.rand(6, 1) + 0.3, torch.randn(6, 3)), 1), dim=1)
    for n in range(6):
        pose = Pose(torch.randn(1, 3), q[n : n + 1])
        T = matrix(pose).float()[None]
        assert torch.allclose(quaternions(T[:, :3, :3]), q[n : n + 1], atol=1e-5)
        assert float(pose_loss(pose, T)) < 1e-5


def test_it_learns_goes_on_and_leaves_a_folder_that_loads(walks: Walks, tmp_path: Path) -> None:
    losses: list[float] = []
    folder = train_cut3r(
        walks, tmp_path / "run", 12, clip_steps=4, config=SMALL, peak=3e-3,
        progress=lambda _, loss: losses.append(loss), command="test",
    )
    assert len(losses) == 16 and np.mean(losses[9:12]) < np.mean(losses[:3])
    model = load_cut3r(folder)
    assert model.config == SMALL
    card = json.loads((folder / "card.json").read_text())
    assert card["trains"] == "cut3r" and card["parameters"] == sum(p.numel() for p in model.parameters())

    halfway: list[float] = []

    class PowerError(Exception): ...

    def cut(step: int, loss: float) -> None:
        halfway.append(loss)
        if len(halfway) == 14:
            raise PowerError

    with pytest.raises(PowerError):
        train_cut3r(walks, tmp_path / "again", 12, clip_steps=4, config=SMALL, peak=3e-3, progress=cut)
    train_cut3r(walks, tmp_path / "again", 12, clip_steps=4, config=SMALL, peak=3e-3)
    again = load_cut3r(tmp_path / "again" / "model")
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
