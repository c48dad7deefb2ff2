"""Where a single camera thinks it was, and how far things are: against a recording that knows.

The reconstructor gets colour only. Its trajectory is compared after one similarity for the whole walk, its confident
depth after the scale of that similarity.

    python benchmarks/monocular.py RECORDING [--video FILE] [--reconstruct odometry] [--seeds 5] --json FILE

RECORDING is posed RGB-D (its poses and depth are the truth) or `rooms:SEED`. `--video` is another source of colour: a
video of the same walk; which of its frames the recording has is seen by comparing them, its numbers may be others.
`--reconstruct sensor` is given everything: it checks the measure.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float32
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch import Tensor

from seg3r.api import frames
from seg3r.errors import InputError
from seg3r.metrics.geometry import (
    absrel,
    ate,
    confident_share,
    drift,
    path_length,
    relative_errors,
    scale_breaks,
    within,
)
from seg3r.presets import Bundled, GeometryOptions, reconstructor
from seg3r.protocols import Reconstructor
from seg3r.sources.rooms import RoomsSource
from seg3r.types import Camera, Frame, View

THUMBNAIL = (54, 36)
ALIKE = 6.0
"""Mean difference of thumbnails, in grey levels, that compression may make between two copies of a frame."""
ANNOUNCED = 20
"""Frames on either side of a break within which it counts as announced."""
NO_WARNING = ("focal", "started", "dropped")
"""Kinds of events that say nothing of a break."""
DRIFT = 16
"""Frames that drift is given over."""
SEEDED = ("odometry",)
"""What draws at random; the rest runs once."""


class Truth(NamedTuple):
    """Of one frame."""

    depth: Float32[Tensor, "H W"]
    camera: Camera


class Sighted(NamedTuple):
    """What is kept of a view, at a quarter of its pixels."""

    T_world_cam: np.ndarray
    depth: np.ndarray
    confident: np.ndarray
    truth: np.ndarray
    """Depth at the same pixels."""


def room(name: str, length: int, size: tuple[int, int]) -> RoomsSource:
    """A procedural room with clean depth."""
    seed = name.partition(":")[2]
    if not seed.isdecimal():
        raise InputError(f"{name}: a room is rooms:SEED, with a number")
    return RoomsSource(int(seed), frames=length, size=size, depth="clean")


def truths(recording: Iterable[Frame]) -> dict[int, Truth]:
    """Frame index -> what is known of it."""
    known = {f.index: Truth(f.depth, f.camera) for f in recording if f.depth is not None and f.camera is not None}
    if len(known) < 3:
        raise InputError("the recording has fewer than three frames with depth and pose: nothing to compare with")
    return known


def renumbered(known: dict[int, Truth], recording: Iterable[Frame], video: Iterable[Frame]) -> dict[int, Truth]:
    """The truth by frame numbers of a video of the same walk: each frame's nearest look-alike.

    Raises:
        InputError: a frame that nothing in the video resembles, or look-alikes in another order.
    """
    shown = [(frame.index, thumbnail(frame)) for frame in video]
    every = np.stack([small for _, small in shown])
    out: dict[int, Truth] = {}
    last = -1
    for frame in recording:
        off = np.abs(every - thumbnail(frame)).mean((1, 2))
        best = int(off.argmin())
        if off[best] > ALIKE or best <= last:
            raise InputError(
                f"frame {frame.index} of the recording: frame {shown[best][0]} of the video looks most like it, "
                f"{off[best]:.1f} grey levels off, after frame {last}; is it a video of the same walk?"
            )
        last = best
        out[shown[best][0]] = known[frame.index]
    return out


def thumbnail(frame: Frame) -> np.ndarray:
    """[h w], grey."""
    return np.asarray(Image.fromarray(frame.rgb.numpy()).convert("L").resize(THUMBNAIL), np.float32)


def colour(source: Iterable[Frame], blind: bool) -> Iterator[Frame]:
    """The frames as a single camera has them; all that was measured, unless blind."""
    for frame in source:
        yield Frame(frame.index, frame.time_s, frame.rgb) if blind else frame


def sighted(view: View, truth: Truth) -> Sighted:
    """The view at every second pixel, and the truth there (nearest)."""
    own, true = view.depth[::2, ::2], truth.depth
    rows, columns = (
        ((torch.arange(n) * 2 + 0.5) * (m / full)).long().clamp_max(m - 1)
        for n, m, full in zip(own.shape, true.shape, view.depth.shape, strict=True)
    )
    return Sighted(
        view.camera.T_world_cam.numpy(), own.numpy(), (view.confidence[::2, ::2] > 0).numpy(),
        true[rows][:, columns].numpy(),
    )


def run(reconstruct: Reconstructor, source: Iterable[Frame], known: dict[int, Truth], blind: bool) -> dict[str, Any]:
    """One walk. Seconds are those of the reconstructor, waiting for frames apart."""
    kept: dict[int, Sighted] = {}
    views, given, seconds = 0, 0, 0.0

    def take(found: Iterable[View]) -> None:
        nonlocal views
        for view in found:
            views += 1
            if view.frame.index in known:
                kept[view.frame.index] = sighted(view, known[view.frame.index])

    for frame in colour(source, blind):
        start = time.perf_counter()
        found = reconstruct(frame)
        seconds += time.perf_counter() - start
        given += 1
        take(found)
    start = time.perf_counter()
    found = reconstruct.finish()
    seconds += time.perf_counter() - start
    take(found)
    events = [(int(event.frame_index), str(event.kind)) for event in getattr(reconstruct, "events", ())]
    return {**measured(kept, known, events), "fps": given / seconds, "registered": views, "frames": given}


def measured(kept: dict[int, Sighted], known: dict[int, Truth], events: list[tuple[int, str]]) -> dict[str, Any]:
    """Everything that depends on the truth; nan where too little was found to tell.

    A frame's depth is scored at all its confident pixels; frames count alike.
    """
    order = sorted(kept)
    path_m = path_length(np.stack([known[i].camera.T_world_cam.numpy() for i in sorted(known)]))
    nothing = dict.fromkeys(("ate_m", "absrel", "within_1.25", "coverage", "rpe_m", "rpe_deg", "drift"), math.nan)
    if len(order) < 3:
        none = {"scale_breaks": 0, "announced": 0, "events": events}
        return {**nothing, "path_m": path_m, "compared": len(order), **none}
    own = np.stack([kept[i].T_world_cam for i in order])
    true = np.stack([known[i].camera.T_world_cam.numpy() for i in order])
    error = ate(own, true)
    scale = error.similarity.scale
    steps = relative_errors(own, true, scale)
    depths = [((kept[i].depth * scale).astype(np.float32), kept[i].truth, kept[i].confident) for i in order]
    drifted = drift(own, true, DRIFT, scale) if len(order) > DRIFT else np.zeros(0)
    warned = [at for at, kind in events if kind not in NO_WARNING]
    breaks = [order[row] for row in scale_breaks(own[:, :3, 3], true[:, :3, 3])]
    return {
        "ate_m": error.rmse_m, "path_m": path_m, "compared": len(order), "scale": scale,
        "absrel": float(np.nanmean([absrel(*each) for each in depths])),
        "within_1.25": float(np.nanmean([within(*each) for each in depths])),
        "coverage": float(np.mean([confident_share(confident) for _, _, confident in depths])),
        "rpe_m": float(np.median(steps.translation_m)), "rpe_deg": float(np.median(steps.rotation_deg)),
        "drift": float(np.median(drifted)) if len(drifted) else math.nan,
        "scale_breaks": len(breaks), "breaks_at": breaks,
        "announced": sum(any(abs(w - at) <= ANNOUNCED for w in warned) for at in breaks), "events": events,
    }


def rounded(value: object) -> object:
    """Four digits after the point; JSON knows no nan."""
    if isinstance(value, float):
        return round(value, 4) if math.isfinite(value) else None
    return value


def table(runs: list[dict[str, Any]], title: str) -> Table:
    """A row for each run."""
    columns = ("seed", "ate_m", "path_m", "absrel", "within_1.25", "coverage", "fps", "registered", "frames",
               "scale_breaks", "announced")
    out = Table(title=title)
    for name in columns:
        out.add_column(name, justify="right")
    for each in runs:
        out.add_row(*("-" if each[name] is None else f"{each[name]:.4g}" for name in columns))
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recording")
    parser.add_argument("--video", help="colour from here: a video of the same walk")
    parser.add_argument("--reconstruct", default="odometry", choices=("odometry", "cut3r", "sensor", "saved"))
    parser.add_argument("--folder", type=Path, help="where saved geometry lies")
    parser.add_argument("--focal-px", type=float, help="of the camera, where it is known (odometry)")
    parser.add_argument(
        "--centre-px", type=float, nargs=2, metavar=("X", "Y"), help="principal point, where it is known (odometry)"
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--frames", type=int, default=60, help="length of the walk through a room")
    parser.add_argument("--size", type=int, nargs=2, default=(240, 320), metavar=("H", "W"), help="of a room's frames")
    parser.add_argument("--json", type=Path, help="write the figures here")
    args = parser.parse_args()
    try:
        measure(args)
    except InputError as error:
        parser.error(str(error))


def measure(args: argparse.Namespace) -> None:
    """All that was asked for, said and written."""
    console = Console(stderr=True)
    is_room = args.recording.startswith("rooms:")
    recording = room(args.recording, args.frames, tuple(args.size)) if is_room else frames(args.recording)
    source = frames(args.video) if args.video else recording
    known = truths(recording)
    if args.video:
        known = renumbered(known, recording, source)
    centre_px = None if args.centre_px is None else tuple(args.centre_px)
    runs = []
    for seed in range(args.seeds if args.reconstruct in SEEDED else 1):
        console.print(f"seed {seed} of {args.recording}, {args.reconstruct}")
        options = GeometryOptions(focal_px=args.focal_px, centre_px=centre_px, folder=args.folder, seed=seed)
        geometry = reconstructor(args.reconstruct, Bundled(), options)
        found = run(geometry, source, known, args.reconstruct != "sensor")
        runs.append({"seed": seed, **{name: rounded(value) for name, value in found.items()}})
    settings = {
        "recording": args.recording, "video": args.video, "reconstruct": args.reconstruct, "focal_px": args.focal_px,
        "centre_px": centre_px,
        "frames": [args.frames, *args.size] if is_room else None, "announced_within": ANNOUNCED, "drift_over": DRIFT,
    }
    Console(file=sys.stdout, width=120).print(table(runs, f"{args.reconstruct} on {args.recording}"))
    if args.json is not None:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps({"runs": runs, "settings": settings}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
