"""How fast, and how much memory: every figure a median with its settings. `--quick` takes seconds, not minutes.

Pass/fail is not decided here; machines differ. Compare ratios, or medians on one quiet machine.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from hall import THINGS, Hall
from seg3r.choices import LabelerName
from seg3r.datasets.scannet import SCANNET20
from seg3r.embed.refined_queries import RefinedQueries
from seg3r.methods.opentrack3d import opentrack3d
from seg3r.metrics.instance_ap import ScenePrediction, evaluate_scenes
from seg3r.presets import ROOM_WORDS, Bundled, labeler_of, moonseg3r
from seg3r.rooms import split_seeds
from seg3r.sources.rooms import RoomsSource
from seg3r.superpoints import mesh_superpoints
from seg3r.types import Masks, View

MASKS = 40
WINDOW = 30
"""Frames behind each median of the map."""


class GivenMasks:
    """A segmentation network that costs nothing."""

    masks: Masks

    def __call__(self, view: View) -> Masks:
        return self.masks


def walk(frames: int) -> dict[str, Any]:
    """Milliseconds a frame of everything but segmentation along one walk, and the memory it took."""
    hall, segment = Hall(seed=0), GivenMasks()
    mapper = opentrack3d(segment=segment)
    took: list[float] = []
    for t in range(frames):
        frame, segment.masks = hall.view(t, MASKS)
        start = time.perf_counter()
        mapper.step(frame)
        took.append(1e3 * (time.perf_counter() - start))
    stages = {n: statistics.median(s[-WINDOW:]) * 1e3 for n, s in mapper.seconds.items() if s and n != "segment"}
    return {
        "ms": statistics.median(took[-WINDOW:]),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "instances": len(mapper.scene), "points": mapper.scene.point_count,
        "keyframes": len(mapper.scene.keyframes), "stages_ms": {n: round(v, 2) for n, v in stages.items()},
    }


def walk_alone(frames: int) -> dict[str, Any]:
    """`walk` in a process of its own: peak memory is a process's. The hall's rays are turned by a large matrix product,
    whose threads would go on spinning into the frame that is timed: it gets one."""
    out = subprocess.run(
        [sys.executable, __file__, "--walk", str(frames)], check=True, capture_output=True, text=True,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    ).stdout
    return dict(json.loads(out))


def evaluator_seconds(scenes: int, vertices: int = 50_000, things: int = 40) -> float:
    """AP of `scenes` scenes, reading files apart."""
    rng = np.random.default_rng(0)
    gt, said = [], []
    for _ in range(scenes):
        centre = rng.uniform(0, vertices, things)
        place = np.arange(vertices)
        nearest = np.abs(place[:, None] - centre[None]).argmin(1)
        label = np.array(SCANNET20.ids)[rng.integers(0, len(SCANNET20.ids), things)]
        gt.append(label[nearest] * 1000 + nearest + 1)
        width = rng.uniform(300, 1500, things)
        shift = rng.normal(0, 150, things)
        masks = np.abs(place[None] - (centre + shift)[:, None]) < width[:, None]
        said.append((masks, label, rng.uniform(0, 1, things)))
    start = time.perf_counter()
    evaluate_scenes(gt, [ScenePrediction.from_masks(*s) for s in said], SCANNET20)
    return time.perf_counter() - start


def superpoint_seconds(side: int) -> float:
    """Superpoints of a bumpy height field of side x side vertices."""
    rng = np.random.default_rng(0)
    x, y = np.meshgrid(np.arange(side), np.arange(side), indexing="ij")
    z = 5 * np.sin(x / 23) * np.cos(y / 31) + 4 * ((x // 40 + y // 40) % 2) + rng.normal(0, 0.15, x.shape)
    vertices = np.stack((x, y, z), -1).reshape(-1, 3).astype(np.float32) * np.float32(0.01)
    corner = (np.arange(side - 1)[:, None] * side + np.arange(side - 1)).reshape(-1)
    faces = np.concatenate((
        np.stack((corner, corner + 1, corner + side), 1), np.stack((corner + 1, corner + side + 1, corner + side), 1)
    ))
    start = time.perf_counter()
    mesh_superpoints(vertices, faces)
    return time.perf_counter() - start


def scene_seconds(frames: int) -> dict[str, Any]:
    """What is done once for a scene: refinement, and naming every instance by either bundled model."""
    recording = RoomsSource(split_seeds("val", 1)[0], frames=frames)
    mapper = opentrack3d()
    for frame in recording:
        mapper.step(frame)
    mapper.refine(mapper.scene.copy())  # compiles
    scene = mapper.refined()
    seconds = {"refine_s": mapper.seconds["refine"][-1], "instances": len(scene), "frames": frames}
    names: tuple[LabelerName, ...] = ("nearest", "mllm")
    for name in names:
        labeler = labeler_of(name, Bundled())
        start = time.perf_counter()
        labeler(scene, ROOM_WORDS.words)
        seconds[f"label_{name}_s"] = time.perf_counter() - start
    return {name: round(value, 3) for name, value in seconds.items()}


def one_camera(early: int, late: int) -> dict[str, Any]:
    """Milliseconds a frame of MoonSeg3R with the bundled CUT3R, stage by stage, at two places of one walk."""
    mapper = moonseg3r(reconstruct="cut3r")
    recording = RoomsSource(split_seeds("val", 1)[0], frames=late)
    for _ in mapper.run(recording):
        pass
    groups = {"reconstruct": ("reconstruct",), "segment": ("segment",), "refine_and_memory": ("embed",),
              "associate_and_scene": ("lift", "associate", "add", "maintain")}
    embed = mapper.embed
    assert isinstance(embed, RefinedQueries)

    def ms(stages: Sequence[str], at: int) -> float:
        took = np.sum([mapper.seconds[s][at - WINDOW : at] for s in stages], axis=0)
        return round(1e3 * float(np.median(took)), 2)

    return {
        **{f"at_{at}": {name: ms(stages, at) for name, stages in groups.items()} for at in (early, late)},
        "remembered": {} if embed.memory is None else {"keys": len(embed.memory), "queries": embed.memory.queries},
        "instances": len(mapper.scene),
    }


def median_of(measure: Callable[[], float], runs: int) -> float:
    """After one run that compiles."""
    measure()
    return statistics.median(measure() for _ in range(runs))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--quick", action="store_true", help="shorter walk, fewer runs")
    parser.add_argument("--walk", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.walk:
        sys.stdout.write(json.dumps(walk(args.walk)))
        return
    early, late = (60, 120) if args.quick else (200, 2000)
    runs = 2 if args.quick else 5
    scenes, side = (4 if args.quick else 23), 316
    mono = (40, 80) if args.quick else (60, 300)
    # One after another: what runs beside a measurement slows it.
    console = Console(stderr=True)
    with console.status("compiling") as status:
        walk_alone(3)
        status.update(f"the map over {early} and {late} frames")
        at_early, at_late = walk_alone(early), walk_alone(late)
        status.update("what is done once for a scene")
        once = scene_seconds(20 if args.quick else 60)
        status.update(f"one camera over {mono[1]} frames")
        camera = one_camera(*mono)
        status.update("evaluator and superpoints")
        evaluator_s = median_of(lambda: evaluator_seconds(scenes), runs)
        superpoints_s = median_of(lambda: superpoint_seconds(side), runs)
    figures = {
        "map_update_ms": round(at_early["ms"], 2),
        f"map_update_ms_at_{early}": round(at_early["ms"], 2),
        f"map_update_ms_at_{late}": round(at_late["ms"], 2),
        f"peak_mb_at_{early}": round(at_early["peak_mb"], 1),
        f"peak_mb_at_{late}": round(at_late["peak_mb"], 1),
        "evaluator_s": round(evaluator_s, 4), "superpoints_s": round(superpoints_s, 4),
        "refine_s": once["refine_s"], "label_nearest_s": once["label_nearest_s"],
        "label_mllm_s": once["label_mllm_s"],
        **{f"{stage}_ms": ms for stage, ms in at_early["stages_ms"].items()},
        "ratio": round(at_late["ms"] / at_early["ms"], 3),
        **{f"moonseg3r_{stage}_ms_at_{at}": camera[f"at_{at}"][stage] for at in mono for stage in camera[f"at_{at}"]},
        "settings": {
            "map": f"640x480, {MASKS} masks a frame, {THINGS} things, median of the last {WINDOW} frames of a walk; "
                   "all stages but segmentation",
            f"walk_{early}": at_early, f"walk_{late}": at_late,
            "once_a_scene": {"room": "320x240, noisy depth, geometric segmenter, 41 words", **once},
            "moonseg3r": {"room": f"320x240, bundled CUT3R, geometric segmenter, median of {WINDOW} frames", **camera},
            "evaluator": f"{scenes} scenes x 50,000 vertices x 40 instances, median of {runs}",
            "superpoints": f"{side * side:,} vertices, median of {runs}",
        },
    }
    width = max(map(len, figures))
    for name, value in figures.items():
        if name != "settings":
            print(f"{name:{width}}  {value}")
    if args.json is not None:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
