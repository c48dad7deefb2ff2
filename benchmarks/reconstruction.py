"""How good is the geometry of procedural rooms: depth, steps, drift. Mean and spread over groups of rooms ("seeds").

One walk a room for each source of geometry; it gets colour only, but `sensor`, which is given everything and checks the
measure. The pose head of CUT3R is heard in the same pass as the solver: both rows have one and the same depth.

    python benchmarks/reconstruction.py [--split test] [--seeds 3] [--rooms 4] [--frames 260] --json FILE

An interrupted run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64
from rich.console import Console
from torch import nn

from kept import Kept, key, mean_and_spread, table, weights_used
from seg3r.errors import InputError
from seg3r.metrics.geometry import (
    STRIDE_M,
    absrel,
    confident_share,
    path_length,
    relative_errors,
    scale_breaks,
    umeyama,
    within,
)
from seg3r.presets import Bundled, GeometryOptions, reconstructor
from seg3r.protocols import Reconstructor
from seg3r.reconstruct.cut3r import Cut3rReconstructor, matrix
from seg3r.rooms import split_seeds
from seg3r.sources.rooms import RoomsSource
from seg3r.types import Frame, View

SPANS = (16, 60, 200)
"""Frames that drift is given over."""
STEP_M = 0.01
"""Steps shorter than it have no share that would mean something."""
PASSES = ("cut3r", "odometry, focal known", "odometry, focal unknown", "sensor")
ROWS = {"cut3r": ("cut3r, solver", "cut3r, head")}
"""Pass -> rows, where they are not one."""
COLUMNS = {
    "absrel": "AbsRel", "absrel_median": "AbsRel, median scale", "within_1.25": "< 1.25", "coverage": "confident",
    "registered": "posed", "scale": "scale", "depth_scale": "of depth", "ate_m": "ATE m",
    "rpe_share": "step, share", "rpe_cm": "step, cm", "rpe_deg": "step, deg",
    **{f"drift_{n}": f"drift {n}" for n in SPANS}, **{f"drift_{n}_median": f"{n}, median" for n in SPANS},
    "scale_breaks": "breaks", "ms": "CPU ms a frame",
}


class Seen(NamedTuple):
    """What is kept of a view, at a quarter of its pixels."""

    depth: Float32[np.ndarray, "h w"]
    confident: Bool[np.ndarray, "h w"]
    truth: Float32[np.ndarray, "h w"]


class Walked(NamedTuple):
    """What a source of geometry said of a walk."""

    poses: dict[str, dict[int, Float64[np.ndarray, "4 4"]]]
    """Row -> frame -> camera to world."""
    seen: dict[int, Seen]
    seconds: list[float]
    """Of each frame, all threads of the processor: other work does not count."""


class Head:
    """What the network's pose head says, whoever else gives the pose of the view. Resets start another world: none."""

    def __init__(self, model: nn.Module) -> None:
        self.poses: list[Float64[np.ndarray, "4 4"]] = []
        self.hook = model.register_forward_hook(lambda _, __, said: self.poses.append(matrix(said[0].pose).numpy()))


def walk(
    geometry: Reconstructor, rows: Sequence[str], room: RoomsSource, blind: bool, progress: Callable[[int], None]
) -> Walked:
    """One walk. Seconds are the processor's, in the reconstructor."""
    head = Head(geometry.model) if len(rows) > 1 and isinstance(geometry, Cut3rReconstructor) else None
    seconds: list[float] = []
    poses: dict[str, dict[int, Float64[np.ndarray, "4 4"]]] = {name: {} for name in rows}
    seen: dict[int, Seen] = {}

    def take(found: Iterable[View]) -> None:
        for view in found:
            index = view.frame.index
            poses[rows[0]][index] = view.camera.T_world_cam.numpy().copy()
            if head is not None:
                poses[rows[1]][index] = head.poses[-1]
            seen[index] = kept(view, room)

    try:
        for frame in room:
            given = Frame(frame.index, frame.time_s, frame.rgb) if blind else frame
            start = time.process_time()
            found = geometry(given)
            seconds.append(time.process_time() - start)
            take(found)
            progress(len(seconds))
        take(geometry.finish())
    finally:
        if head is not None:
            head.hook.remove()
    return Walked(poses, seen, seconds)


def kept(view: View, room: RoomsSource) -> Seen:
    """Every second pixel, and the true depth there (nearest)."""
    true = room.surface(view.frame.index)
    rows, columns = (
        ((torch.arange(0, n, 2) + 0.5) * (m / n)).long().clamp_max(m - 1)
        for n, m in zip(view.depth.shape, true.shape, strict=True)
    )
    sure = (view.confidence > 0) & (view.depth > 0)
    return Seen(view.depth[::2, ::2].numpy().copy(), sure[::2, ::2].numpy().copy(), true[rows][:, columns].numpy())


def measured(
    poses: Mapping[int, Float64[np.ndarray, "4 4"]], seen: Mapping[int, Seen], true: Float64[np.ndarray, "n 4 4"],
    spans: Sequence[int] = SPANS,
) -> dict[str, float]:
    """All figures of one walk; nan where too little was found to tell.

    The trajectory's scale is that of the one similarity between all camera centres; the median scale that of all
    confident pixels. A step's share is its error by its length; frames count alike in depth, starts in drift.

    Args:
        poses: frame -> camera to world, as it was inferred.
        true: of every frame of the walk.
    """
    order = sorted(poses)
    figures = {name: math.nan for name in COLUMNS if name != "ms"} | {"registered": len(order) / len(true)}
    if len(order) < 3:
        return figures
    own, known = np.stack([poses[i] for i in order]), true[order]
    similarity = umeyama(own[:, :3, 3], known[:, :3, 3])
    scale = similarity.scale
    placed = scale * own[:, :3, 3] @ similarity.R.T + similarity.t
    shown = [seen[i] for i in order]
    ratios = np.concatenate([(s.truth / np.maximum(s.depth, 1e-6))[s.confident & (s.truth > 0)] for s in shown])
    middle = float(np.median(ratios)) if len(ratios) else math.nan
    steps, lengths = moved(poses, true, 1, scale)
    long = lengths > STEP_M
    figures |= {
        "absrel": mean([absrel(scaled(s.depth, scale), s.truth, s.confident) for s in shown]),
        "absrel_median": mean([absrel(scaled(s.depth, middle), s.truth, s.confident) for s in shown]),
        "within_1.25": mean([within(scaled(s.depth, middle), s.truth, s.confident) for s in shown]),
        "coverage": mean([confident_share(s.confident) for s in shown]),
        "scale": scale, "depth_scale": middle, "ate_m": float(np.sqrt(((placed - known[:, :3, 3]) ** 2).sum(1).mean())),
        "path_m": path_length(true),
        "rpe_share": float(steps[0][long].mean() / lengths[long].mean()) if long.any() else math.nan,
        "rpe_cm": 100 * mean(steps[0]), "rpe_deg": mean(steps[1]),
        "scale_breaks": float(len(scale_breaks(own[:, :3, 3], known[:, :3, 3]))),
    }
    return figures | drifts(poses, true, scale, spans)


def drifts(
    poses: Mapping[int, Float64[np.ndarray, "4 4"]], true: Float64[np.ndarray, "n 4 4"], scale: float,
    spans: Sequence[int],
) -> dict[str, float]:
    """How far off the camera is some frames after it stood together with the true one, as a share of the path between:
    mean and median over all starts."""
    figures = {}
    for span in spans:
        (off, _), path = moved(poses, true, span, scale)
        shares = off[path > STRIDE_M] / path[path > STRIDE_M]
        figures |= {f"drift_{span}": mean(shares), f"drift_{span}_median": mean(shares, np.median)}
    return figures


def moved(
    poses: Mapping[int, Float64[np.ndarray, "4 4"]], true: Float64[np.ndarray, "n 4 4"], span: int, scale: float
) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """Errors (metres, degrees) of the motion over `span` frames and the true path between, for every frame that has a
    pose and whose other end has one."""
    starts = [i for i in sorted(poses) if i + span in poses]
    if not starts:
        return (np.zeros(0), np.zeros(0)), np.zeros(0)
    ends = [i + span for i in starts]
    along = np.concatenate(([0.0], np.cumsum(np.linalg.norm(np.diff(true[:, :3, 3], axis=0), axis=1))))
    # All starts, then all ends: the motion over so many rows is the one over so many frames.
    own = np.stack([poses[i] for i in (*starts, *ends)])
    off = relative_errors(own, true[[*starts, *ends]], scale, len(starts))
    return (off.translation_m, off.rotation_deg), along[ends] - along[starts]


def scaled(depth: Float32[np.ndarray, "h w"], scale: float) -> Float32[np.ndarray, "h w"]:
    return (depth * scale).astype(np.float32)


def mean(values: Sequence[float] | np.ndarray, how: Callable[[np.ndarray], Any] = np.mean) -> float:
    """Of what is known; nan of nothing."""
    known = np.asarray(values, np.float64)
    known = known[np.isfinite(known)]
    return float(how(known)) if len(known) else math.nan


def plain(figures: Mapping[str, float]) -> dict[str, float | None]:
    """Rounded; JSON knows no nan."""
    return {name: round(value, 5) if math.isfinite(value) else None for name, value in figures.items()}


def geometry_of(name: str, room: RoomsSource) -> Reconstructor:
    """The source of a pass."""
    if name in ("cut3r", "sensor"):
        return reconstructor(name, Bundled())
    focal_px = float(room.cameras[0].K[0, 0]) if name.endswith(" known") else None
    return reconstructor("odometry", Bundled(), GeometryOptions(focal_px=focal_px))


def measure_room(name: str, room: RoomsSource, progress: Callable[[int], None]) -> dict[str, dict[str, float | None]]:
    """The rows of one pass through one room."""
    rows = ROWS.get(name, (name,))
    said = walk(geometry_of(name, room), rows, room, name != "sensor", progress)
    true = np.stack([c.T_world_cam.numpy() for c in room.cameras])
    ms = 1e3 * mean(said.seconds)
    return {row: plain({**measured(said.poses[row], said.seen, true), "ms": ms}) for row in rows}


def summary(done: Mapping[str, Mapping[str, Any]], groups: Sequence[Sequence[int]]) -> list[dict[str, Any]]:
    """The rows, from all rooms measured so far."""
    out = []
    for name in PASSES:
        for row in ROWS.get(name, (name,)):
            found = [[done[key(name, s)][row] for s in group if key(name, s) in done] for group in groups]
            if any(found):
                rooms = sum(len(group) for group in found)
                out.append({"name": row, **mean_and_spread(found, list(COLUMNS)), "rooms": rooms})
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", choices=("train", "val", "test"), default="test")
    parser.add_argument("--seeds", type=int, default=3, help="groups of rooms")
    parser.add_argument("--rooms", type=int, default=4, help="rooms of a group")
    parser.add_argument("--frames", type=int, default=260)
    parser.add_argument("--size", type=int, nargs=2, default=(240, 320), metavar=("H", "W"))
    parser.add_argument("--only", nargs="+", choices=PASSES, default=PASSES)
    parser.add_argument("--quick", action="store_true", help="two groups of one room of 70 frames")
    parser.add_argument("--fresh", action="store_true", help="measure anew what the file holds")
    parser.add_argument("--json", type=Path, help="write the table here")
    args = parser.parse_args()
    try:
        measure(args)
    except InputError as error:
        parser.exit(2, f"{error}\n")


def measure(args: argparse.Namespace) -> list[dict[str, Any]]:
    """All that was asked for, said and written."""
    seeds, rooms, length = (2, 1, 70) if args.quick else (args.seeds, args.rooms, args.frames)
    same = {"split": args.split, "frames": length, "size": list(args.size), "weights": weights_used()}
    settings = same | {"seeds": seeds, "rooms": rooms, "drift_over": SPANS, "unit_of_drift": "share of the path"}
    done = Kept(args.json, same, args.fresh)
    numbers = list(split_seeds(args.split, seeds * rooms))
    groups = [numbers[g * rooms : (g + 1) * rooms] for g in range(seeds)]
    console = Console(stderr=True)
    for seed in numbers:
        room = None
        for name in args.only:
            if key(name, seed) in done.measured:
                continue
            # A walk is rendered once for all passes: 260 frames of 320x240 are a third of a GB.
            room = room or RoomsSource(seed, frames=length, size=tuple(args.size), depth="clean", keep=True)
            with console.status(f"{name}, rooms:{seed}") as status:
                def tell(count: int, name: str = name, seed: int = seed) -> None:
                    status.update(f"{name}, rooms:{seed}: {count} of {length} frames")

                found = done(key(name, seed), lambda: measure_room(name, room, tell))  # noqa: B023
            done.write({"rows": summary(done.measured, groups), "settings": settings})
            first = next(iter(found.values()))
            console.print(f"{name}, rooms:{seed}: AbsRel {first['absrel_median']}, drift {first['drift_16']}")
    rows = summary(done.measured, groups)
    done.write({"rows": rows, "settings": settings})
    Console(file=sys.stdout, width=200).print(table(rows, COLUMNS, f"{args.split}, {seeds} groups of {rooms}"))
    return rows


if __name__ == "__main__":
    main()
