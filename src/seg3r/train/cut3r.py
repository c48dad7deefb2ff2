"""A small CUT3R from nothing: depth of single frames first, then clips with their motion.

Learnt at once, from nothing, neither leaves the constant solution for long; a network that sees depth learns motion
soon. Losses: CUT3R (arXiv 2501.12387, section 3.4), whose pointmap loss is DUSt3R's, weighted by confidence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from seg3r.geometry import invert
from seg3r.models.cut3r import Cut3r, Cut3rConfig, Pose
from seg3r.train.data.walks import Walks
from seg3r.train.distributed import DistributedContext
from seg3r.train.loop import learn, mean_loss, seeded, write_weights

BUNDLED = Cut3rConfig(
    stem=(16, 32, 96), encoder_width=192, encoder_depth=8, encoder_heads=3, decoder_width=128, decoder_depth=4,
    decoder_heads=2, state_heads=4, states=96, slots=16, memory_depth=1, pyramid=(24, 48, 96, 128), features=32,
    last=16, focal=0.79, world=False,
)
"""The bundled one. Focal: the middle of the rooms' fields of view, 60 to 70 degrees."""
ALPHA = 0.2
"""Of -log confidence (DUSt3R)."""
TRANSLATION, ROTATION = 1.0, 1.0
"""Weights of the pose: metres, and the distance of unit quaternions."""
STRIDES = (1, 2, 3)
"""Between frames of a clip."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Clips of equal length."""

    images: Float[Tensor, "b t 3 H W"]
    """-1..1."""
    points: Float[Tensor, "b t H W 3"]
    """In the camera of each frame, metres; z = 0: none."""
    poses: Float[Tensor, "b t 4 4"]
    """Camera to the first camera of its clip."""


@dataclass(frozen=True, eq=False)
class ClipBatches:
    """step -> clips of random walks, mirrored and lit at random."""

    walks: Walks
    seed: int = 0

    def __call__(self, step: int, clips: int, length: int) -> Batch:
        rng = np.random.default_rng([self.seed, length, step])
        made = [self._clip(rng, length) for _ in range(clips)]
        return Batch(*(torch.stack(parts) for parts in zip(*made, strict=True)))

    def _clip(self, rng: np.random.Generator, length: int) -> tuple[Tensor, Tensor, Tensor]:
        fitting = [s for s in STRIDES if s * (length - 1) < self.walks.frames]
        stride = int(rng.choice(fitting)) if length > 1 else 1
        first = int(rng.integers(self.walks.frames - stride * (length - 1)))
        frames = [first + stride * k for k in range(length)]
        clip = self.walks.clip(int(rng.integers(len(self.walks.seeds))), frames[:: 1 if rng.random() < 0.5 else -1])
        image = lit(clip.rgb.permute(0, 3, 1, 2).float() / 255, rng) * 2 - 1
        depth, K = clip.depth.float(), clip.K
        H, W = depth.shape[1:]
        v, u = ((torch.arange(n) - K[1 - a, 2].float()) / K[1 - a, 1 - a].float() for a, n in enumerate((H, W)))
        rays = torch.stack((*torch.meshgrid(u, v, indexing="xy"), torch.ones(H, W)), dim=-1)
        poses = invert(clip.poses[0])[None] @ clip.poses
        if rng.random() < 0.5:  # left for right
            image, depth, rays = image.flip(-1), depth.flip(-1), rays.flip(-2) * torch.tensor((-1.0, 1.0, 1.0))
            mirror = torch.diag(torch.tensor((-1.0, 1.0, 1.0, 1.0), dtype=poses.dtype))
            poses = mirror @ poses @ mirror
        return image, depth[..., None] * rays, poses.float()


def lit(image: Float[Tensor, "t 3 H W"], rng: np.random.Generator) -> Float[Tensor, "t 3 H W"]:
    """Another light, another white, another camera: gamma, gain per colour, blur and noise, the same for a clip."""
    image = image ** float(np.exp(rng.normal(0, 0.2)))
    image = image * torch.from_numpy(np.exp(rng.normal(0, (0.08, 0.04, 0.08))).astype(np.float32))[:, None, None]
    if rng.random() < 0.3:
        image = functional.avg_pool2d(image, 3, 1, 1, count_include_pad=False)
    noise = torch.from_numpy(rng.standard_normal(image.shape, np.float32))
    return (image + float(rng.uniform(0, 0.03)) * noise).clamp(0, 1)


def point_loss(
    points: Float[Tensor, "b H W 3"], confidence: Float[Tensor, "b H W"], truth: Float[Tensor, "b H W 3"]
) -> Float[Tensor, ""]:
    """Distance over true depth, weighted by confidence, whose price is -0.2 log: DUSt3R's equation 4. Relative, so that
    far walls do not outweigh what stands near."""
    known = (truth[..., 2] > 0).float()
    off = (points - truth).norm(dim=-1) / truth[..., 2].clamp_min(1e-3)
    total: Tensor = ((confidence * off - ALPHA * confidence.log()) * known).sum()
    return total / known.sum().clamp_min(1)


def pose_loss(pose: Pose, truth: Float[Tensor, "b 4 4"]) -> Float[Tensor, ""]:
    """Distance of centres, and of quaternions."""
    wanted = quaternions(truth[:, :3, :3])
    apart = (pose.translation - truth[:, :3, 3]).norm(dim=-1).mean()
    turned = (pose.quaternion - wanted).norm(dim=-1).mean()
    total: Tensor = TRANSLATION * apart + ROTATION * turned
    return total


def quaternions(R: Float[Tensor, "b 3 3"]) -> Float[Tensor, "b 4"]:
    """w x y z with w >= 0, of rotations of less than half a turn."""
    w = (1 + R[:, 0, 0] + R[:, 1, 1] + R[:, 2, 2]).clamp_min(1e-6).sqrt() / 2
    xyz = torch.stack((R[:, 2, 1] - R[:, 1, 2], R[:, 0, 2] - R[:, 2, 0], R[:, 1, 0] - R[:, 0, 1]), dim=1)
    return functional.normalize(torch.cat((w[:, None], xyz / (4 * w[:, None])), dim=1), dim=1)


@dataclass(frozen=True, eq=False)
class Curriculum:
    """step -> loss: single frames, then clips."""

    model: Cut3r
    batches: ClipBatches
    device: torch.device

    def depth(self, step: int, frames: int = 16) -> Tensor:
        """Of unrelated frames, each the first that the network sees."""
        batch = self.batches(step, frames, 1)
        prediction, _ = self.model(batch.images[:, 0].to(self.device), self.model.initial(frames))
        return point_loss(prediction.points, prediction.confidence, batch.points[:, 0].to(self.device))

    def clips(self, step: int, clips: int, length: int) -> Tensor:
        """Of clips, frame after frame."""
        batch = self.batches(step, clips, length)
        carried, losses = self.model.initial(clips), []
        for t in range(length):
            prediction, carried = self.model(batch.images[:, t].to(self.device), carried)
            loss = point_loss(prediction.points, prediction.confidence, batch.points[:, t].to(self.device))
            losses.append(loss + pose_loss(prediction.pose, batch.poses[:, t].to(self.device)))
        return torch.stack(losses).mean()

    @torch.no_grad()
    def probe(self) -> Tensor:
        """Depths of one frame that no step saw, metres."""
        image = self.batches(1 << 30, 1, 1).images[:, 0].to(self.device)
        prediction, _ = self.model(image, self.model.initial())
        depth: Tensor = prediction.points[..., 2]
        return depth


def train_cut3r(
    walks: Walks,
    out: Path,
    depth_steps: int,
    *,
    clip_steps: int,
    seed: int = 0,
    device: torch.device | str = "cpu",
    config: Cut3rConfig = BUNDLED,
    peak: float = 6e-4,
    depth_warmup: int = 300,
    clip_warmup: int = 200,
    command: str = "",
    data: str = "",
    progress: Callable[[int, float], None] | None = None,
    context: DistributedContext | None = None,
) -> Path:
    """Depth for `depth_steps`, then clips of four frames for half of `clip_steps` and of eight for the rest. Goes on
    where an interrupted call stopped.

    Args:
        out: folder of the run; its `model/` is what `load_cut3r` reads.
        peak: learning rate for depth; clips learn at half of it.
        depth_warmup, clip_warmup: steps until it is reached.
        command, data: for the card.
        context: the processes that train together; None: this one, on `device`.
    Returns:
        `out/model`.
    """
    with seeded(seed):
        model = Cut3r(config)
    context = context or DistributedContext(device)
    model.to(context.device)
    curriculum = Curriculum(model, ClipBatches(walks, seed), context.device)
    hours = learn(
        model, curriculum.depth, depth_steps, out=out / "depth", peak=peak, warmup=depth_warmup, progress=progress,
        context=context,
    )
    short = clip_steps // 2 * context.count

    def clips(step: int) -> Tensor:
        return curriculum.clips(step, 4, 4) if step < short else curriculum.clips(step, 2, 8)

    hours += learn(
        model, clips, clip_steps, out=out, peak=peak / 2, warmup=clip_warmup, progress=progress, context=context
    )
    if not context.main:
        return out / "model"
    card = {"trains": "cut3r", "command": command, "data": data, "seed": seed, "depth_steps": depth_steps,
            "clip_steps": clip_steps, "processes": context.count, "hours": round(hours, 3), "peak_learning_rate": peak,
            "loss": round(mean_loss(out), 4)}

    def probe(of: nn.Module) -> Tensor:
        assert isinstance(of, Cut3r)
        return Curriculum(of, curriculum.batches, curriculum.device).probe()

    write_weights(model, probe, out / "model", config=asdict(config), card=card, tolerance=0.05)
    return out / "model"
