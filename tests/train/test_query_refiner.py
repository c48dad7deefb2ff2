"""The refiner's training: clips as the frozen parts see them, losses by hand, a cut run ends like a whole one."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from seg3r.embed.memory import QueryIndexMemory
from seg3r.embed.patches import PatchGrid
from seg3r.embed.refined_queries import RefinedQueries, load_refiner
from seg3r.errors import InputError
from seg3r.models.query_refiner import QueryRefiner, QueryRefinerConfig, joined
from seg3r.reconstruct.sensor import Sensor
from seg3r.train import loop
from seg3r.train.data.walks import Walks, render_walks
from seg3r.train.loop import CURVE, seeded
from seg3r.train.query_refiner import (
    ClipLoss,
    PreparedClip,
    PreparedClips,
    TrainingClip,
    cross_frame_loss,
    distillation_loss,
    gram,
    prepare_clips,
    recalled_targets,
    recording_clips,
    segmentation_loss,
    train_query_refiner,
    walk_clips,
)
from seg3r.types import Frame, Masks, View
from tests.worlds import table_scene, walk

SMALL = QueryRefinerConfig(tokens=0, features=0, width=16, heads=2, ffn=24, psi=20, layers=2)


class WithTokens:
    """The sensor, with the grid of a recurrent reconstructor: noise that its frame number seeds."""

    def __init__(self) -> None:
        self.seen = 0

    def __call__(self, frame: Frame) -> tuple[View]:
        self.seen += 1
        draw = torch.Generator().manual_seed(frame.index)
        return (replace(Sensor().view(frame), tokens=torch.rand((9, 12, 6), generator=draw)),)

    def finish(self) -> tuple[()]:
        return ()

    def reset(self) -> None:
        self.seen = 0


def samples(count: int = 2, frames: int = 4) -> Iterator[TrainingClip]:
    """Looks at a table with things on it."""
    for n in range(count):
        seen = walk(table_scene(), 12)[n : n + frames]
        truth = {frame.index: ids for frame, ids in seen}

        def segment(view: View, truth: dict[int, torch.Tensor] = truth) -> Masks:
            ids = truth[view.frame.index]
            return Masks(torch.stack([ids == t for t in (2, 3, 4, 5)]), torch.ones(4))

        yield [frame for frame, _ in seen], segment


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> PreparedClips:
    return prepare_clips(samples(), WithTokens(), PatchGrid(), folder=tmp_path_factory.mktemp("clips"))


@pytest.fixture(scope="module")
def walks(tmp_path_factory: pytest.TempPathFactory) -> Walks:
    return render_walks((0,), tmp_path_factory.mktemp("walks"), frames=6, size=(48, 64))


def test_a_clip_is_what_the_frozen_parts_see(clips: PreparedClips) -> None:
    clip = clips[0]
    assert len(clips) == 2 and clips.widths() == (6, 81)
    assert clip.tokens.shape == (4, 18, 24, 6) and clip.features.shape == (4, 18, 24, 81)
    assert clip.counts.tolist() == [4] * 4 and clip.masks.shape == (16, 72, 96)
    frame, segment = next((sample[0][1], sample[1]) for sample in samples(1))
    view = Sensor().view(frame)
    shares = segment(view).masks.float().mean((1, 2))
    assert torch.allclose(clip.masks[4:8].mean((1, 2)), shares, atol=2e-3)
    assert torch.allclose(clip.features[1], PatchGrid()(frame.rgb), atol=1e-3)


def test_what_comes_back_from_memory_lies_on_its_own_mask(clips: PreparedClips) -> None:
    clip = clips[0]
    assert clip.recalled_counts[0] == 0 and bool((clip.recalled_counts[1:] > 0).all())
    first = 0
    for t, count in enumerate(clip.recalled_counts.tolist()):
        recalled = clip.recalled[first : first + count]
        assert (recalled < 4 * t).all()
        now = torch.nn.functional.avg_pool2d(clip.masks[4 * t : 4 * t + 4][:, None], 4)[:, 0]
        targets, found = recalled_targets(clip.footprints[first : first + count], now)
        assert found.float().sum() >= 0.5 * count
        # Mask i of each frame is the same thing.
        same = now[recalled.long() % 4]
        assert torch.equal(targets[found], same[found])
        first += count


def test_clips_are_made_once(tmp_path: Path) -> None:
    reconstruct = WithTokens()
    first = prepare_clips(samples(1), reconstruct, PatchGrid(), folder=tmp_path)
    stamp = first.paths[0].stat().st_mtime_ns
    done: list[int] = []
    both = prepare_clips(samples(2), reconstruct, PatchGrid(), folder=tmp_path, progress=done.append)
    assert both.paths[0].stat().st_mtime_ns == stamp and len(both) == 2 and done == [1, 2]
    with pytest.raises(InputError, match="no clips to learn from"):
        prepare_clips([], reconstruct, PatchGrid(), folder=tmp_path)


def test_walks_give_clips_with_their_truth(walks: Walks, tmp_path: Path) -> None:
    made = list(walk_clips(walks, 5, 3, seed=1))
    again = list(walk_clips(walks, 5, 3, seed=1))
    strides = []
    for (frames, segment), (same, _) in zip(made, again, strict=True):
        indices = [f.index for f in frames]
        assert indices == [f.index for f in same]
        strides.append(indices[1] - indices[0])
        assert indices[2] - indices[1] == strides[-1] and min(indices) >= 0 and max(indices) < 6
        masks = segment(Sensor().view(frames[0])).masks
        ids = walks.clip(0, [indices[0]]).ids[0]
        assert bool(masks.flatten(1).any(1).all()) and torch.equal(masks.any(0), ids > 0)
    assert {abs(s) for s in strides} == {1, 2} and min(strides) < 0 < max(strides)


def test_recordings_are_cut_into_clips() -> None:
    frames = [frame for frame, _ in walk(table_scene(), 12, (12, 16))] * 10

    def segment(view: View) -> Masks:
        return Masks(torch.zeros(0, 12, 16, dtype=torch.bool), torch.zeros(0))

    made = [clip for clip, _ in recording_clips([frames, frames[:3]], segment, 4)]  # type: ignore[list-item]
    assert len(made) >= 4 and all(len(clip) == 4 for clip in made)


def test_segmentation_loss_is_cross_entropy_at_the_masks_resolution() -> None:
    masks = torch.zeros(2, 8, 8)
    masks[0, :, :4] = 1
    assert float(segmentation_loss(torch.zeros(2, 2, 2), masks)) == pytest.approx(math.log(2))
    right = torch.tensor([[[9.0, -9], [9, -9]], [[-9.0, -9], [-9, -9]]])
    assert float(segmentation_loss(right, masks)) < 0.15
    assert float(segmentation_loss(-right, masks)) > 3
    assert float(segmentation_loss(torch.full((2, 2, 2), -2.0), masks)) == pytest.approx(
        0.75 * math.log1p(math.exp(-2)) + 0.25 * math.log1p(math.exp(2))
    )


def test_distillation_asks_for_the_cosines_of_the_frozen_features() -> None:
    draw = torch.Generator().manual_seed(0)
    frozen = torch.rand((2, 3, 4, 5), generator=draw) - 0.5
    assert float(distillation_loss(7 * frozen, frozen)) == pytest.approx(0, abs=1e-9)
    other = torch.rand((2, 3, 4, 9), generator=draw) - 0.5
    both = float(distillation_loss(frozen, frozen, other))
    assert both == pytest.approx(float((gram(frozen) - gram(other)).square().mean()))
    frozen.requires_grad_()
    learnt = other.clone().requires_grad_()
    distillation_loss(learnt, frozen).backward()  # type: ignore[no-untyped-call]
    assert frozen.grad is None and learnt.grad is not None
    assert torch.allclose(gram(other).diagonal(dim1=1, dim2=2), torch.ones(2, 12))


def test_a_recalled_query_belongs_to_the_masks_its_keys_fall_into() -> None:
    masks = torch.zeros(3, 4, 4)
    masks[0, :2], masks[1, 2:], masks[2, 0, 0] = 0.8, 1.0, 1.0
    footprints = torch.zeros(4, 4, 4, dtype=torch.bool)
    footprints[0, :2] = True
    footprints[1, 2:] = True
    footprints[2, 1:3, :2] = True  # half in one, half in the other: of neither
    footprints[3, 0, 0] = True
    targets, found = recalled_targets(footprints, masks)
    assert found.tolist() == [True, True, False, True]
    assert torch.equal(targets[0], masks[0]) and torch.equal(targets[1], masks[1]) and torch.equal(targets[3], masks[2])


def test_sparse_keys_of_a_thing_seen_from_near_still_find_it() -> None:
    masks = torch.zeros(1, 6, 6)
    masks[0, :4] = 1
    footprints = torch.zeros(2, 6, 6, dtype=torch.bool)
    footprints[0, ::3, ::3], footprints[1, 5, ::3] = True, True
    assert recalled_targets(footprints, masks)[1].tolist() == [True, False]


def test_cross_frame_loss_pulls_towards_the_target_only() -> None:
    masks = torch.zeros(1, 4, 4)
    masks[0, :2] = 1
    footprints = torch.zeros(2, 4, 4, dtype=torch.bool)
    footprints[0, :2], footprints[1, 3] = True, True
    logits = torch.zeros(2, 4, 4, requires_grad=True)
    loss = cross_frame_loss(logits, footprints, masks)
    assert float(loss.detach()) == pytest.approx(math.log(2))
    loss.backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert (logits.grad[0, :2] < 0).all() and (logits.grad[0, 2:] > 0).all() and logits.grad[1].abs().sum() == 0
    assert float(cross_frame_loss(logits, footprints, torch.zeros(1, 4, 4)).detach()) == 0


def small_model() -> QueryRefiner:
    with seeded(0):
        return QueryRefiner(replace(SMALL, tokens=6, features=81))


def test_training_and_mapping_see_the_same(clips: PreparedClips) -> None:
    """The queries of the loss are those of the embedder that runs the same frames."""
    model = small_model().eval()
    loss = ClipLoss(model, clips, 0, 0.0, torch.device("cpu"))
    clip = clips[0]
    both = joined(clip.tokens, clip.features)
    with torch.no_grad():
        inside = [queries for queries, *_ in loss._frames(clip, both, model.psi(both))]
    embed = RefinedQueries(PatchGrid(), model, QueryIndexMemory(most_recalled=64), merge=None)
    frames, segment = next(samples(1))
    for frame, queries in zip(frames, inside, strict=True):
        view = WithTokens()(frame)[0]
        seen = embed(view, segment(view)).features
        assert seen is not None
        cosine = (torch.nn.functional.normalize(queries, dim=1) * seen).sum(1)
        assert cosine.min() > 0.999  # half precision on the disk


def test_gradients_reach_queries_of_the_last_frame_and_none_recalled_later(clips: PreparedClips) -> None:
    model = small_model()
    loss = ClipLoss(model, clips, 0, 0.0, torch.device("cpu"))
    clip = clips[0]
    both = joined(clip.tokens, clip.features)
    # Not the sum of a query, which its norm keeps at zero.
    direction = torch.rand(16, generator=torch.Generator().manual_seed(0))

    def reached(clip: PreparedClip) -> list[list[bool]]:
        """Which frames' features move each frame's first query."""
        out = []
        for t in range(4):
            leaf = both.clone().requires_grad_()
            frames = list(loss._frames(clip, leaf, model.psi(leaf)))
            (frames[t][0][0] @ direction).backward()
            assert leaf.grad is not None
            out.append([bool(leaf.grad[s].abs().sum() > 0) for s in range(4)])
        return out

    assert [row[t - 1] for t, row in enumerate(reached(clip))][1:] == [True] * 3
    first_only = replace(clip, recalled=clip.recalled % 4)
    yes, no = True, False
    assert reached(first_only) == [[yes, no, no, no], [yes, yes, no, no], [no, no, yes, no], [no, no, no, yes]]


@pytest.fixture(scope="module")
def trained(clips: PreparedClips, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run")
    train_query_refiner(clips, out, 60, config=SMALL, warmup=5, peak=5e-3, command="the command", data="a table")
    return out


def test_it_learns(trained: Path) -> None:
    losses = [json.loads(line)["loss"] for line in (trained / CURVE).read_text().splitlines()]
    assert len(losses) == 60 and sum(losses[-10:]) < 0.7 * sum(losses[:10])


def test_the_folder_says_what_made_it_and_loads(trained: Path, clips: PreparedClips) -> None:
    card = json.loads((trained / "model" / "card.json").read_text())
    assert card["trains"] == "query-refiner" and card["command"] == "the command" and card["data"] == "a table"
    assert card["steps"] == 60 and card["clips"] == 2 and card["dtype"] in ("float16", "float32")
    model = load_refiner(trained / "model")
    assert model.config == replace(SMALL, tokens=6, features=81)
    with torch.no_grad():
        seg, dist, cross = ClipLoss(model, clips, 0, 0.0, torch.device("cpu")).parts(clips[0])
    assert 0 < float(seg) < 0.4 and float(dist) > 0 and float(cross) > 0


def test_a_cut_run_ends_like_a_whole_one(
    clips: PreparedClips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 10**9, 100))
    monkeypatch.setattr(loop.time, "monotonic", lambda: next(clock))  # a checkpoint after each step

    def stop(step: int, _: float) -> None:
        if step == 3:
            raise KeyboardInterrupt

    def run(out: Path, **more: Any) -> bytes:
        return (train_query_refiner(clips, out, 6, config=SMALL, warmup=2, **more) / "model.safetensors").read_bytes()

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", progress=stop)
    assert run(tmp_path / "cut") == run(tmp_path / "whole")


@torch.no_grad()
def test_steps_without_tokens_leave_out_their_distillation(clips: PreparedClips) -> None:
    model = small_model()
    clip = clips[0]
    without = replace(clip, tokens=torch.zeros_like(clip.tokens))
    parts = ClipLoss(model, clips, 0, 0.0, torch.device("cpu")).parts(without)
    projected = model.psi(torch.cat((torch.zeros_like(clip.tokens),
                                     torch.nn.functional.layer_norm(clip.features, (81,))), -1))
    assert float(parts[1]) == pytest.approx(float(distillation_loss(projected, clip.features)), rel=1e-4)
    assert float(ClipLoss(model, clips, 0, 1.0, torch.device("cpu"))(0)) > 0
