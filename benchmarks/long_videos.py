"""CUT3R over long walks, the limit that the authors of MoonSeg3R name: drift, and AP as the map grows.

Walks of 400 frames go round after round through a room, each round another way and back to its start, so that things
come into view again and again. Plain; the state anew every so many frames, its world tied to the old one; TTT3R's gate
(training-free); both. Pose by flow and depth ("solver": the state touches it through depth alone) and by the network's
head; with odometry, which needs no network, and the true geometry beside them. Perfect masks, so that what is lost is
the geometry's. A and B: see docs/moonseg3r.md, "Two placements". AP is the mean of the rooms' own.

    python benchmarks/long_videos.py [--split test] [--seeds 3] [--rooms 1] --json FILE [--chart FILE.svg]

An interrupted run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import html
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from kept import Kept, key, mean_and_spread, table, weights_used
from reconstruction import drifts, mean, plain
from seg3r.choices import Placement
from seg3r.datasets.rooms import TrueRoom, true_rooms, truth_masks
from seg3r.errors import InputError
from seg3r.evaluate.one_camera import PlacedRoom, place_room
from seg3r.evaluate.placement import LEAST_VIEWS
from seg3r.methods.moonseg3r_config import BUNDLED_NUMBERS
from seg3r.metrics.geometry import path_length, umeyama
from seg3r.metrics.instance_ap import evaluate_scenes
from seg3r.metrics.protocol import protocol_from_classes
from seg3r.presets import Bundled, moonseg3r, reconstructor
from seg3r.protocols import Reconstructor
from seg3r.report.chart import HEIGHT, WIDTH, line_chart
from seg3r.rooms import CLASSES, STRUCTURAL, split_seeds
from seg3r.segment.saved import SavedMasks
from seg3r.types import Frame, View

SPANS = (16, 60, 200, 400)
"""Frames that drift is given over; the last: from the first to the last frame of the walk."""
AT_AN_END = 50
"""Frames at the start and at the end whose median time is told."""
POSES = ("solver", "head")
UPDATES = {"plain": (False, False), "reset": (True, False), "gate": (False, True), "both": (True, True)}
"""Name -> whether the state starts anew, whether the gate is on."""
PLACEMENTS: dict[Placement, str] = {"unprojected": "A", "aligned": "B"}
ODOMETRY, TRUE = "odometry", "true geometry"
MEASURES = ("AP", "AP50", "AP25")
COLUMNS = {
    "AP": "AP", "AP50": "AP50", "AP25": "AP25",
    **{f"drift_{n}": f"drift {n}" for n in SPANS}, **{f"drift_{n}_median": f"{n}, median" for n in SPANS},
    "ate_m": "ATE m", "frames": "frames", "scale": "scale", "ms_start": "CPU ms, start", "ms_end": "end",
}
STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#555}.end{text-anchor:end}.middle{text-anchor:middle}"
    ".title{font-weight:600;fill:#1c1e22}.grid{stroke:#e2e2de}.line{fill:none;stroke-width:2.2}.value{font-weight:600}"
    + "".join(f".line.s{n}{{stroke:{c}}}.dot.s{n},.value.s{n}{{fill:{c}}}"
              for n, c in enumerate(("#c2570c", "#2563a8", "#3d7a3a", "#8a4fa0", "#1c1e22", "#8a8a85")))
)
"""Colours of the report's page."""
TITLE, LABEL = 72, 60
"""Pixels more than a chart: its title above and labels that end low below, long labels to the right."""


class Logged:
    """A reconstructor whose poses are noted, and when each frame came; nothing else of a view is kept."""

    def __init__(self, geometry: Reconstructor) -> None:
        self.geometry = geometry
        self.reset()

    def __call__(self, frame: Frame) -> Sequence[View]:
        self.came.append(time.process_time())
        return self._noted(self.geometry(frame))

    def finish(self) -> Sequence[View]:
        self.came.append(time.process_time())
        return self._noted(self.geometry.finish())

    def reset(self) -> None:
        self.geometry.reset()
        self.poses: dict[int, np.ndarray] = {}
        self.came: list[float] = []

    def _noted(self, views: Sequence[View]) -> Sequence[View]:
        self.poses |= {view.frame.index: view.camera.T_world_cam.numpy().copy() for view in views}
        return views


def geometry_of(name: str, reset_every: int) -> Reconstructor:
    """By the name of a row."""
    if name in (ODOMETRY, TRUE):
        return reconstructor("odometry" if name == ODOMETRY else "sensor", Bundled(), tokens=True)
    pose, update = name.split(", ")
    anew, gate = UPDATES[update]
    return Bundled().cut3r(pose=pose, reset_every=reset_every * anew, gate=gate)


def names_of(poses: Sequence[str]) -> list[str]:
    return [f"{pose}, {update}" for pose in poses for update in UPDATES] + [ODOMETRY, TRUE]


def measure_room(room: TrueRoom, name: str, reset_every: int, online_every: int, masks: str) -> dict[str, Any]:
    """One row on one walk: drift, time, and for each placement the curve."""
    geometry = Logged(geometry_of(name, reset_every))
    segment = SavedMasks(truth_masks(room.recording)) if masks == "truth" else None
    # Perfect masks have no pieces to join.
    config = replace(BUNDLED_NUMBERS, consensus=0.0) if masks == "truth" else BUNDLED_NUMBERS
    placed = place_room(
        moonseg3r("bundled", config, reconstruct=geometry, segment=segment), room, tuple(PLACEMENTS), online_every
    )
    true = np.stack([c.T_world_cam.numpy() for c in room.recording.cameras])
    curves = {placement: curve(placed, placement) for placement in PLACEMENTS}
    order = sorted(geometry.poses)
    if len(order) < LEAST_VIEWS:
        return {"frames": len(order), "curves": curves}
    own, known = np.stack([geometry.poses[i] for i in order]), true[order]
    similarity = umeyama(own[:, :3, 3], known[:, :3, 3])
    off = similarity.scale * own[:, :3, 3] @ similarity.R.T + similarity.t - known[:, :3, 3]
    # A walk of 400 frames has 399 steps: its last drift is that of one start.
    spans = [min(span, len(true) - 1) for span in SPANS if span <= len(true)]
    found = drifts(geometry.poses, true, similarity.scale, spans)
    renamed = {f"drift_{s}{end}": found[f"drift_{min(s, len(true) - 1)}{end}"]
               for s in SPANS if s <= len(true) for end in ("", "_median")}
    spent = 1e3 * np.diff(geometry.came)
    figures = plain({
        **renamed, "ate_m": float(np.sqrt((off**2).sum(1).mean())), "scale": similarity.scale,
        "path_m": path_length(true), "frames": len(order), "ms_start": mean(spent[:AT_AN_END], np.median),
        "ms_end": mean(spent[-AT_AN_END:], np.median),
    })
    return {**figures, "curves": curves}


def curve(placed: PlacedRoom, placement: Placement) -> list[list[float | None]]:
    """[frames, AP, AP50, AP25] after so many frames, against all that the whole walk shows."""
    protocol = protocol_from_classes(CLASSES[1:], STRUCTURAL)
    points: list[list[float | None]] = []
    for frames, prediction in sorted(placed.predictions[placement].items()):
        overall = evaluate_scenes([placed.room.truth.ids], [prediction], protocol, True, "ranked").overall.as_json()
        points.append([frames, *(None if overall[m] is None else round(overall[m], 4) for m in MEASURES)])
    return points


def summary(
    done: Mapping[str, Mapping[str, Any]], groups: Sequence[Sequence[int]], names: Sequence[str]
) -> list[dict[str, Any]]:
    """The rows, once for each placement, from all rooms measured so far."""
    rows = []
    for placement in PLACEMENTS:
        for name in names:
            found = [[done[key(name, s)] for s in group if key(name, s) in done] for group in groups]
            curves = [each["curves"][placement] for group in found for each in group]
            if not curves:
                continue
            last = [
                [each | dict(zip(MEASURES, each["curves"][placement][-1][1:], strict=True)) for each in group]
                for group in found
            ]
            rows.append({
                "name": name, "placement": placement, **mean_and_spread(last, list(COLUMNS)), "rooms": len(curves),
                "curve": [[at[0][0], *(_mean([p[k] for p in at]) for k in (1, 2, 3))]
                          for at in zip(*curves, strict=True)],
            })
    return rows


def _mean(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return round(float(np.mean(known)), 4) if known else None


def charts(rows: Sequence[Mapping[str, Any]], poses: Sequence[str], measure: str = "AP25") -> str:
    """The online curves as one SVG: a column for each placement, a row for each kind of pose."""
    k = 1 + MEASURES.index(measure)
    panels = []
    for down, pose in enumerate(poses):
        for across, (placement, letter) in enumerate(PLACEMENTS.items()):
            own = {r["name"].removeprefix(f"{pose}, "): r["curve"] for r in rows
                   if r["placement"] == placement and r["name"].startswith((f"{pose}, ", ODOMETRY, TRUE))}
            if not own:
                continue
            x = [float(point[0]) for point in next(iter(own.values()))]
            lines = {name: [float("nan") if p[k] is None else p[k] for p in points] for name, points in own.items()}
            left, top = across * (WIDTH + LABEL), down * (HEIGHT + TITLE)
            title = html.escape(f"{letter} ({placement}), pose by {pose}: {measure}")
            inner = line_chart(x, lines, "frames").replace(
                "<svg ", f'<svg x="{left}" y="{top + 26}" width="{WIDTH}" height="{HEIGHT}" overflow="visible" ', 1)
            panels.append(f'<text class="title" x="{left + 12}" y="{top + 18}">{title}</text>{inner}')
    wide, high = len(PLACEMENTS) * (WIDTH + LABEL), len(poses) * (HEIGHT + TITLE)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" width="{wide}" height="{high}">'
            f'<style>{STYLE}</style><rect width="{wide}" height="{high}" fill="#fff"/>{"".join(panels)}</svg>\n')


def tables(rows: Sequence[Mapping[str, Any]], title: str) -> list[Table]:
    """One for each placement: their numbers do not compare."""
    return [
        table([r for r in rows if r["placement"] == placement], COLUMNS, f"{title}: {letter}, {placement}")
        for placement, letter in PLACEMENTS.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", choices=("train", "val", "test"), default="test")
    parser.add_argument("--seeds", type=int, default=3, help="groups of rooms")
    parser.add_argument("--rooms", type=int, default=1, help="rooms of a group")
    parser.add_argument("--frames", type=int, default=400)
    parser.add_argument("--size", type=int, nargs=2, default=(240, 320), metavar=("H", "W"))
    parser.add_argument("--pose", nargs="+", choices=POSES, default=POSES)
    parser.add_argument("--reset-every", type=int, default=60)
    parser.add_argument("--online-every", type=int, default=50, help="frames between two points of the curve")
    parser.add_argument("--masks", choices=("truth", "geometric"), default="truth")
    parser.add_argument("--quick", action="store_true", help="one room of 70 frames, resets after 20")
    parser.add_argument("--fresh", action="store_true", help="measure anew what the file holds")
    parser.add_argument("--json", type=Path, help="write the table here")
    parser.add_argument("--chart", type=Path, help="draw the curves here, as SVG")
    parser.add_argument("--drawn", choices=MEASURES, default="AP25", help="of the chart")
    args = parser.parse_args()
    try:
        measure(args)
    except InputError as error:
        parser.exit(2, f"{error}\n")


def measure(args: argparse.Namespace) -> list[dict[str, Any]]:
    """All that was asked for, said, drawn and written."""
    seeds, rooms, frames = (1, 1, 70) if args.quick else (args.seeds, args.rooms, args.frames)
    reset_every, online_every = (20, 35) if args.quick else (args.reset_every, args.online_every)
    same = {
        "split": args.split, "frames": frames, "size": list(args.size), "masks": args.masks, "depth": "clean",
        "reset_every": reset_every, "online_every": online_every, "weights": weights_used(),
    }
    settings = same | {"seeds": seeds, "rooms": rooms, "AP": "ranked, class-agnostic, mean of the rooms"}
    done, names = Kept(args.json, same, args.fresh), names_of(args.pose)
    numbers = list(split_seeds(args.split, seeds * rooms))
    groups = [numbers[g * rooms : (g + 1) * rooms] for g in range(seeds)]
    console = Console(stderr=True)
    for place, seed in enumerate(numbers):
        room = None
        for name in names:
            if key(name, seed) in done.measured:
                continue
            # 400 frames of 320x240, rendered once for all rows, are 0.4 GB; of views only poses stay.
            room = room or next(iter(true_rooms(args.split, 1, place, frames, tuple(args.size), "clean", keep=True)))
            with console.status(f"{name}, rooms:{seed}"):
                found = measure_room(room, name, reset_every, online_every, args.masks)
            done.put(key(name, seed), found)
            done.write({"rows": summary(done.measured, groups, names), "settings": settings})
            a, b = (found["curves"][placement][-1][1] for placement in PLACEMENTS)
            console.print(f"{name}, rooms:{seed}: drift {found.get('drift_16')} .. {found.get('drift_200')}, "
                          f"AP {a} (A), {b} (B)")
    rows = summary(done.measured, groups, names)
    done.write({"rows": rows, "settings": settings})
    console = Console(file=sys.stdout, width=220)
    for each in tables(rows, f"{args.split}, {seeds} groups of {rooms}"):
        console.print(each)
    if args.chart is not None:
        args.chart.parent.mkdir(parents=True, exist_ok=True)
        args.chart.write_text(charts(rows, args.pose, args.drawn), encoding="utf-8")
    return rows


if __name__ == "__main__":
    main()
