"""The query refiner of MoonSeg3R (arXiv 2512.15577, section 3) learns from clips whose masks nobody named.

All but the refiner is frozen, so a clip's tokens, features, masks, and what of it comes back from memory are made once
and written; a step reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int32, UInt8
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from seg3r.embed.memory import QueryIndexMemory, spatial_keys
from seg3r.embed.refined_queries import LEAST_COVERED, DenseFeatures, tokens_on
from seg3r.errors import InputError
from seg3r.files import write_tensors
from seg3r.models.grids import coverage
from seg3r.models.query_refiner import QueryRefiner, QueryRefinerConfig, joined
from seg3r.protocols import Reconstructor, Segmenter
from seg3r.train.data.walks import Walks
from seg3r.train.distributed import DistributedContext
from seg3r.train.loop import learn, mean_loss, seeded, write_weights
from seg3r.types import Camera, Frame, Masks, View

FINE = 4
"""How many times finer than the features the masks are that logits are compared with."""
DISTIL, CROSS = 0.1, 0.5
"""Weights of the losses (the paper's)."""
LEAST_IOU = 0.5
"""Of what a remembered query's keys cover and a mask, for the mask to belong to it."""
LONGEST_STRIDE = 10
"""Frames between two of a clip, at most: evaluations take every tenth to twentieth."""
MOST_RECALLED = 64
"""Remembered queries of a training frame."""

TrainingClip = tuple[Sequence[Frame], Segmenter]
"""Frames of a clip, and who finds the masks in them."""


# ---- clips -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TrueThings:
    """View -> masks of the true things. For walks only."""

    ids: dict[int, UInt8[Tensor, "H W"]]
    """Frame index -> thing of each pixel, 0 = structure."""

    def __call__(self, view: View) -> Masks:
        ids = self.ids[view.frame.index][None, None].float()
        ids = functional.interpolate(ids, view.camera.size, mode="nearest-exact")[0, 0]
        things = torch.unique(ids)
        masks = ids == things[things > 0][:, None, None]
        return Masks(masks, torch.ones(len(masks)))


def walk_clips(walks: Walks, count: int, length: int, seed: int = 0) -> Iterator[TrainingClip]:
    """Clips of random walks with their true masks, at random strides, forwards or backwards."""
    for n in range(count):
        rng = np.random.default_rng([seed, n])
        stride = int(rng.integers(1, min(LONGEST_STRIDE, (walks.frames - 1) // (length - 1)) + 1))
        first = int(rng.integers(walks.frames - stride * (length - 1)))
        indices = [first + stride * k for k in range(length)][:: 1 if rng.random() < 0.5 else -1]
        clip = walks.clip(int(rng.integers(len(walks.seeds))), indices)
        size = (clip.rgb.shape[1], clip.rgb.shape[2])
        frames = [
            Frame(i, i / 10, clip.rgb[k], clip.depth[k].float(), Camera(clip.K, clip.poses[k], size))
            for k, i in enumerate(indices)
        ]
        yield frames, TrueThings({i: clip.ids[k] for k, i in enumerate(indices)})


def recording_clips(
    recordings: Iterable[Iterable[Frame]], segment: Segmenter, length: int, seed: int = 0
) -> Iterator[TrainingClip]:
    """Recordings cut into one clip after the other, each at a random stride; a rest too short is left."""
    rng = np.random.default_rng(seed)
    for recording in recordings:
        frames = iter(recording)
        while True:
            stride = int(rng.integers(1, LONGEST_STRIDE + 1))
            clip = list(islice(frames, 0, stride * (length - 1) + 1, stride))
            if len(clip) < length:
                break
            yield clip, segment


@dataclass(frozen=True, eq=False)
class PreparedClip:
    """A clip as the refiner sees it: `t` frames with `n` masks and `k` recalled queries in all."""

    tokens: Float32[Tensor, "t h w c3"]
    features: Float32[Tensor, "t h w c2"]
    masks: Float32[Tensor, "n H W"]
    """Share of each cell, frame after frame; cells are a quarter of the features' wide."""
    counts: Int32[Tensor, "t"]
    """Masks of each frame."""
    recalled: Int32[Tensor, "k"]
    """Which mask of an earlier frame each recalled query was made from, frame after frame."""
    footprints: Bool[Tensor, "k h w"]
    """Cells where its keys are seen."""
    recalled_counts: Int32[Tensor, "t"]


@dataclass(frozen=True)
class PreparedClips:
    """Clips in a folder, one file each."""

    paths: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, n: int) -> PreparedClip:
        held = load_file(self.paths[n])
        return PreparedClip(
            held["tokens"].float(), held["features"].float(), held["masks"].float() / 255, held["counts"],
            held["recalled"], held["footprints"].bool(), held["recalled_counts"],
        )

    def widths(self) -> tuple[int, int]:
        """Of tokens and of features."""
        with safe_open(str(self.paths[0]), framework="pt") as file:
            return file.get_slice("tokens").get_shape()[3], file.get_slice("features").get_shape()[3]


def prepare_clips(
    clips: Iterable[TrainingClip],
    reconstruct: Reconstructor,
    features: DenseFeatures,
    *,
    folder: Path,
    progress: Callable[[int], None] | None = None,
) -> PreparedClips:
    """See each clip as the frozen parts see it, once; those already in the folder are left as they are.

    Args:
        progress: called with the clips done.
    Raises:
        InputError: no clips.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for n, (frames, segment) in enumerate(clips):
        path = folder / f"{n:06d}.safetensors"
        if not path.is_file():
            write_tensors(path, _prepared(frames, segment, reconstruct, features))
        paths.append(path)
        if progress is not None:
            progress(n + 1)
    if not paths:
        raise InputError(f"{folder}: no clips to learn from; give longer recordings or shorter clips")
    return PreparedClips(tuple(paths))


@torch.no_grad()
def _prepared(
    frames: Sequence[Frame], segment: Segmenter, reconstruct: Reconstructor, features: DenseFeatures
) -> dict[str, Tensor]:
    reconstruct.reset()
    views = [view for frame in frames for view in reconstruct(frame)]
    views += reconstruct.finish()
    memory = QueryIndexMemory(most_recalled=MOST_RECALLED)
    made: dict[str, list[Tensor]] = {name: [] for name in ("tokens", "features", "masks", "recalled", "footprints")}
    counts, recalled_counts = [], []
    for view in views:
        seen = features(view.frame.rgb).cpu()
        grid = (seen.shape[0], seen.shape[1])
        tokens = seen.new_zeros(*grid, 0) if view.tokens is None else tokens_on(view, grid).cpu()
        fine = coverage(segment(view).masks.cpu(), (grid[0] * FINE, grid[1] * FINE))
        shares = _coarse(fine)
        evident = shares.flatten(1).amax(1) > LEAST_COVERED
        fine, shares = fine[evident], shares[evident]
        recalled = memory.retrieve(view.camera, view.depth, grid)
        memory.add(*spatial_keys(view, grid), shares, torch.zeros(len(shares), 0))
        parts = (tokens.half(), seen.half(), (fine * 255).round().to(torch.uint8), recalled.ids.int(),
                 recalled.footprints.to(torch.uint8))
        for name, value in zip(made, parts, strict=True):
            made[name].append(value)
        counts.append(len(fine))
        recalled_counts.append(len(recalled.ids))
    reconstruct.reset()
    per_frame = {name: torch.stack(made.pop(name)) for name in ("tokens", "features")}
    return per_frame | {name: torch.cat(parts) for name, parts in made.items()} | {
        "counts": torch.tensor(counts, dtype=torch.int32),
        "recalled_counts": torch.tensor(recalled_counts, dtype=torch.int32),
    }


def _coarse(masks: Float32[Tensor, "m H W"]) -> Float32[Tensor, "m h w"]:
    """On the grid of the features. Shares of cells average exactly."""
    return functional.avg_pool2d(masks[:, None], FINE)[:, 0]


# ---- losses ----------------------------------------------------------------------------------------------------------


def segmentation_loss(
    logits: Float[Tensor, "m h w"], masks: Float[Tensor, "m H W"]
) -> Float[Tensor, ""]:
    """L_seg: each query finds its mask in psi(F). Mean binary cross-entropy at the masks' resolution."""
    fine = functional.interpolate(logits[:, None], masks.shape[1:], mode="bilinear", align_corners=False)[:, 0]
    return functional.binary_cross_entropy_with_logits(fine.float(), masks)


def distillation_loss(
    projected: Float[Tensor, "t h w d"], *frozen: Float[Tensor, "t h w _"]
) -> Float[Tensor, ""]:
    """L_dist: what is alike in the frozen features stays alike in psi(F). Mean squared difference of the cosines of all
    pairs of cells, summed over the kinds of features."""
    cosines = gram(projected)
    parts = [(cosines - gram(each).detach()).square().mean() for each in frozen]
    return torch.stack(parts).sum()


def gram(values: Float[Tensor, "t h w c"]) -> Float[Tensor, "t n n"]:
    """Cosines of all pairs of cells of each frame."""
    unit = functional.normalize(values.float().flatten(1, 2), dim=-1)
    return unit @ unit.transpose(1, 2)


def cross_frame_loss(
    logits: Float[Tensor, "k h w"], footprints: Bool[Tensor, "k h w"], masks: Float[Tensor, "m h w"]
) -> Float[Tensor, ""]:
    """L_xseg: a recalled query finds in psi(F) of this frame the masks that its keys fall into; 0 where none do."""
    targets, found = recalled_targets(footprints, masks)
    if not bool(found.any()):
        return logits.new_zeros(())
    return functional.binary_cross_entropy_with_logits(logits[found].float(), targets[found])


def recalled_targets(
    footprints: Bool[Tensor, "k h w"], masks: Float[Tensor, "m h w"]
) -> tuple[Float[Tensor, "k h w"], Bool[Tensor, "k"]]:
    """Union of the masks that a footprint meets with an IoU above one half, and whether there are any.

    Keys are sparse when the camera has come near: only cells where some key is seen count.
    """
    seen = footprints.any(0).flatten()
    marks = footprints.flatten(1).float()
    inside = (masks > 0.5).flatten(1).float() * seen
    common = marks @ inside.T
    iou = common / (marks.sum(1)[:, None] + inside.sum(1) - common).clamp_min(1)
    belongs = (iou > LEAST_IOU).float()
    return (belongs @ masks.flatten(1)).clamp_max(1).view(len(footprints), *masks.shape[1:]), belongs.any(1)


@dataclass(frozen=True, eq=False)
class ClipLoss:
    """step -> the weighted sum of the losses of one clip, its frames in order: what one leaves in memory the next
    recalls. Gradients pass through queries recalled from the frame just before; older ones carry none."""

    model: QueryRefiner
    clips: PreparedClips
    seed: int
    drop_tokens: float
    """Share of the steps without tokens: the refiner then serves reconstructors that have none."""
    device: torch.device
    distil: float = DISTIL
    cross: float = CROSS

    def __call__(self, step: int) -> Tensor:
        rng = np.random.default_rng([self.seed, step])
        clip = self.clips[int(rng.integers(len(self.clips)))]
        if rng.random() < self.drop_tokens:
            clip = replace(clip, tokens=torch.zeros_like(clip.tokens))
        seg, dist, cross = self.parts(clip)
        return seg + self.distil * dist + self.cross * cross

    def parts(self, clip: PreparedClip) -> tuple[Tensor, Tensor, Tensor]:
        """L_seg, L_dist, L_xseg."""
        tokens, features = clip.tokens.to(self.device), clip.features.to(self.device)
        both = joined(tokens, features)
        projected = self.model.psi(both)
        seg, cross = [], []
        for t, (queries, masks, context, footprints) in enumerate(self._frames(clip, both, projected)):
            shares = _coarse(masks)
            if len(masks):
                seg.append(segmentation_loss(self.model.logits(queries, projected[t]), masks))
            if len(context):
                cross.append(cross_frame_loss(self.model.logits(context, projected[t]), footprints, shares))
        frozen = [each for each in (features, tokens) if each.shape[-1] and bool(each.any())]
        none = projected.new_zeros(())
        return (torch.stack(seg).mean() if seg else none, distillation_loss(projected, *frozen),
                torch.stack(cross).mean() if cross else none)

    def _frames(
        self, clip: PreparedClip, both: Float[Tensor, "t h w c"], projected: Float[Tensor, "t h w d"]
    ) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """Refined queries, masks, recalled queries and their footprints of each frame."""
        masks = torch.split(clip.masks.to(self.device), clip.counts.tolist())
        recalled = torch.split(clip.recalled.to(self.device).long(), clip.recalled_counts.tolist())
        footprints = torch.split(clip.footprints.to(self.device), clip.recalled_counts.tolist())
        bank = projected.new_zeros(0, projected.shape[-1])
        last = bank
        for t, mask in enumerate(masks):
            context = torch.cat((bank, last))[recalled[t]]
            bank, shares = torch.cat((bank, last.detach())), _coarse(mask)
            last = self.model.refine(self.model.prototypes(both[t], shares), projected[t], shares, context)
            yield last, mask, context, footprints[t]

    @torch.no_grad()
    def probe(self) -> Tensor:
        """Mask probabilities of the first clip."""
        clip = self.clips[0]
        both = joined(clip.tokens.to(self.device), clip.features.to(self.device))
        projected = self.model.psi(both)
        frames = self._frames(clip, both, projected)
        return torch.cat([self.model.logits(q, projected[t]).sigmoid() for t, (q, *_) in enumerate(frames)])


def train_query_refiner(
    clips: PreparedClips,
    out: Path,
    steps: int,
    *,
    config: QueryRefinerConfig,
    seed: int = 0,
    device: torch.device | str = "cpu",
    peak: float = 5e-4,
    warmup: int = 500,
    drop_tokens: float = 0.1,
    distil: float = DISTIL,
    cross: float = CROSS,
    command: str = "",
    data: str = "",
    progress: Callable[[int, float], None] | None = None,
    context: DistributedContext | None = None,
) -> Path:
    """Train a refiner, a clip a step and process; goes on where an interrupted call stopped.

    Args:
        out: folder of the run; its `model/` is what `load_refiner` reads.
        config: sizes; the widths of tokens and features are those of the clips.
        peak: learning rate; the paper has 1e-4 for batches of four clips.
        drop_tokens: see `ClipLoss`.
        distil, cross: weights of L_dist and L_xseg.
        command, data: for the card.
        context: the processes that train together; None: this one, on `device`.
    Returns:
        `out/model`.
    """
    tokens, features = clips.widths()
    config = replace(config, tokens=tokens, features=features)
    with seeded(seed):
        model = QueryRefiner(config)
    context = context or DistributedContext(device)
    model.to(context.device)
    loss = ClipLoss(
        model, clips, seed=seed, drop_tokens=drop_tokens, device=context.device, distil=distil, cross=cross
    )
    hours = learn(model, loss, steps, out=out, peak=peak, warmup=warmup, progress=progress, context=context)
    if not context.main:
        return out / "model"
    card = {"trains": "query-refiner", "command": command, "data": data, "clips": len(clips), "seed": seed,
            "steps": steps, "hours": round(hours, 3), "peak_learning_rate": peak, "drop_tokens": drop_tokens,
            "distil": distil, "cross": cross, "processes": context.count, "loss": round(mean_loss(out), 4)}

    def probe(of: nn.Module) -> Tensor:
        assert isinstance(of, QueryRefiner)
        return replace(loss, model=of).probe()

    write_weights(model, probe, out / "model", config=asdict(config), card=card, tolerance=0.02)
    return out / "model"
