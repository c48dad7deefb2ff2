"""What each part of a method brings, on procedural rooms. OpenTrack3D: the ablations of the paper's tables 4 to 8, and
the oracle ladder. MoonSeg3R: the seven rows of the paper's table 2, for each source of geometry and each placement.
Mean and spread over disjoint groups of rooms ("seeds").
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from kept import Kept, weights_used
from seg3r.choices import AnswererName, Geometry, Placement
from seg3r.datasets.rooms import TrueRoom, true_rooms, truth_masks, truth_surface
from seg3r.errors import InputError
from seg3r.evaluate.one_camera import PlacedRoom, measures, place_room
from seg3r.evaluate.questions import measure_questions
from seg3r.evaluate.rooms import measure_rooms
from seg3r.methods.moonseg3r import MoonSeg3RConfig
from seg3r.methods.moonseg3r_config import BUNDLED_NUMBERS
from seg3r.methods.opentrack3d import ABLATIONS, OpenTrack3DConfig
from seg3r.models.query_refiner import QueryRefiner
from seg3r.presets import METHODS, Bundled, answerer_of, labeler_of, moonseg3r, reconstructor
from seg3r.presets.bundled import bundled_refiner
from seg3r.protocols import Reconstructor, Segmenter
from seg3r.reconstruct.joined import Joined
from seg3r.rooms import split_seeds
from seg3r.segment.geometric import GeometricSegmenter
from seg3r.segment.saved import SavedMasks
from seg3r.sources.rooms import RoomsSource
from seg3r.types import Frame, Masks, View

MEASURES = ("AP", "AP50", "AP25")
MATCH = (0.15, 0.25, 0.45, 0.55)
CONSISTENCY = (0.2, 0.3, 0.5, 0.6)
RECONSTRUCT = ("sensor", "cut3r", "odometry")
PLACEMENTS = ("unprojected", "aligned")
ANSWERERS: tuple[AnswererName, ...] = ("nearest", "mllm")
PAPER = {
    "F2d only": (7.2, 19.6, 43.7), "F3d only": (6.4, 17.5, 41.1), "F2d + F3d": (8.1, 19.7, 42.3),
    "+ refinement": (12.5, 27.7, 46.6), "+ distillation": (13.5, 29.3, 48.5), "+ memory": (15.9, 32.8, 49.4),
    "+ token": (16.7, 33.3, 50.0),
}
"""AP, AP50, AP25 in per cent: arXiv 2512.15577, table 2, ScanNet200 with CropFormer masks."""
OURS = "+ consensus (ours)"
"""A row below the paper's."""


def variants() -> dict[str, dict[str, Any]]:
    """Row -> arguments of `measure_rooms`."""
    rows: dict[str, dict[str, Any]] = {"whole": {}}
    rows.update({f"no {name}": {"config": OpenTrack3DConfig().without(name)} for name in ABLATIONS})
    rows["with superpoints"] = {"superpoints": True}
    rows.update({f"match {t}": {"config": OpenTrack3DConfig(match=t)} for t in MATCH})
    rows.update({f"consistency {t}": {"config": OpenTrack3DConfig(consistency=t)} for t in CONSISTENCY})
    rows["perfect association"] = {"association": "truth"}
    rows["perfect masks"] = {"masks": "truth"}
    rows["perfect masks and association"] = {"masks": "truth", "association": "truth"}
    for masks in ("geometric", "truth"):
        for labels in ("nearest", "mllm", "truth"):
            start = "labels" if masks == "geometric" else "perfect masks, labels"
            rows[f"{start} {labels}"] = {"masks": masks, "labels": labels}
    return rows


def steps_of_table_2(base: MoonSeg3RConfig, learnt: bool) -> dict[str, MoonSeg3RConfig]:
    """Row -> config; each adds to the one above, the last one what is not the paper's. Without `learnt` those that need
    no training."""
    pooled = replace(base, refine=False, memory=False, token=False, consensus=0.0)
    rows = {
        "F2d only": replace(pooled, use_3d=False), "F3d only": replace(pooled, use_2d=False), "F2d + F3d": pooled,
    }
    if learnt:
        refined = replace(pooled, refine=True)
        whole = replace(refined, memory=True, token=True)
        rows |= {"+ refinement": refined, "+ distillation": refined, "+ memory": replace(whole, token=False),
                 "+ token": whole, OURS: replace(whole, consensus=0.5)}
    return rows


def decisions(base: MoonSeg3RConfig) -> dict[str, MoonSeg3RConfig]:
    """Row -> the whole method with one number or decision changed (docs/moonseg3r.md)."""
    return {
        "whole": base,
        **{f"merge within {t}": replace(base, merge_within=t) for t in (0.7, 0.9, 0.95)},
        "nothing merges within": replace(base, merge_within=2.0),
        **{f"match {t}": replace(base, match=t) for t in (1.2, 1.5, 2.1)},
        "D18 need not touch": replace(base, merge_adjacent=False),
        "D19 box of all points": replace(base, box_trim=0.0),
        **{f"D21 token of {n} views": replace(base, token_frames=n) for n in (1, 20, 10_000)},
        "D22 200 points": replace(base, least_points=200), "no merge in the end": replace(base, merge=0.0),
        "D20 no vote": replace(base, vote=None), "all points": replace(base, measured=0),
        "no consensus": replace(base, consensus=0.0),
    }


def refiners() -> Mapping[str, QueryRefiner | None]:
    """Row -> weights: those of "+ refinement" have learnt without the distillation loss."""
    whole, plain = bundled_refiner(), bundled_refiner(distilled=False)
    return {"+ refinement": plain} | dict.fromkeys(("+ distillation", "+ memory", "+ token", OURS), whole)


class Replayed:
    """Views made before, in the socket of who made them: all rows see the same geometry, and it is made once."""

    def __init__(self, views: Sequence[View]) -> None:
        self.views = {view.frame.index: view for view in views}

    def __call__(self, frame: Frame) -> tuple[View, ...]:
        view = self.views.get(frame.index)
        return () if view is None else (view,)

    def finish(self) -> tuple[()]:
        return ()

    def reset(self) -> None:
        pass


class Once:
    """The masks of a segmenter, made once for each view."""

    def __init__(self, segment: Segmenter) -> None:
        self.segment, self.made = segment, dict[int, Masks]()

    def __call__(self, view: View) -> Masks:
        if view.frame.index not in self.made:
            self.made[view.frame.index] = self.segment(view)
        return self.made[view.frame.index]


class Shared:
    """All that the rows of a room share: its frames, the tokens of CUT3R, the views of each source of geometry, their
    masks. Made when asked for, once; of one source at a time."""

    def __init__(self, seed: int, frames: int, depth: str) -> None:
        recording = RoomsSource(seed, frames=frames, depth=depth, keep=True)
        truth = truth_surface(recording)
        assert truth is not None
        self.room = TrueRoom(recording, truth)
        self._recurrent: Replayed | None = None

    def recurrent(self) -> Replayed:
        """CUT3R's views: a source of geometry, and the tokens of the others."""
        if self._recurrent is None:
            self._recurrent = Replayed(all_views(reconstructor("cut3r", Bundled()), self.room.recording))
        return self._recurrent

    def views(self, reconstruct: Geometry) -> Replayed:
        """What `reconstructor(reconstruct, tokens=True)` gives."""
        if reconstruct == "cut3r":
            return self.recurrent()
        return Replayed(all_views(Joined(reconstructor(reconstruct, Bundled()), self.recurrent()), self.room.recording))

    def masks(self, masks: str) -> Once:
        return Once(SavedMasks(truth_masks(self.room.recording)) if masks == "truth" else GeometricSegmenter())


def all_views(geometry: Reconstructor, frames: Iterable[Frame]) -> list[View]:
    """Of a whole recording."""
    return [view for frame in frames for view in geometry(frame)] + list(geometry.finish())


def rows_asked_for(args: argparse.Namespace) -> tuple[dict[str, MoonSeg3RConfig], Mapping[str, QueryRefiner | None]]:
    """Row -> config, and its weights."""
    learnt = not args.only or any(name in args.only for name in [*list(PAPER)[3:], OURS])
    if args.decisions:
        configs = decisions(BUNDLED_NUMBERS)
        weights: Mapping[str, QueryRefiner | None] = dict.fromkeys(configs, bundled_refiner())
    else:
        configs, weights = steps_of_table_2(BUNDLED_NUMBERS, learnt), refiners() if learnt else {}
    return {name: config for name, config in configs.items() if not args.only or name in args.only}, weights


def table_2(
    args: argparse.Namespace, groups: Sequence[Sequence[int]], frames: int, done: Kept, settings: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """MoonSeg3R: the rows, once for each placement: their numbers do not compare. Room by room; what is known of a row
    on a room is written down at once."""
    configs, weights = rows_asked_for(args)
    steps = [(seed, r, name) for group in groups for seed in group for r in args.reconstruct for name in configs]
    left = [step for step in steps if any(key(*step, p) not in done.measured for p in args.placement)]
    if len(left) < len(steps):
        print(f"{len(steps) - len(left)} of {len(steps)} maps are there already", file=sys.stderr)
    truths: dict[int, TrueRoom] = {}
    start, made = time.perf_counter(), 0
    for group in groups:
        for seed in group:
            mine = [step[1:] for step in left if step[0] == seed]
            if mine:
                shared = Shared(seed, frames, args.depth)
                # The frames go with `shared`; the surface is asked for again when rows are scored.
                truths[seed] = TrueRoom(RoomsSource(seed, frames=frames, depth=args.depth), shared.room.truth)
            else:
                truths[seed] = next(iter(bare_rooms((seed,), frames, args.depth)))
            for reconstruct in dict.fromkeys(r for r, _ in mine):
                views, segment = shared.views(reconstruct), shared.masks(args.masks)
                for name in (n for r, n in mine if r == reconstruct):
                    mapper = moonseg3r(
                        "bundled", configs[name], reconstruct=views, refiner=weights.get(name), segment=segment
                    )
                    placed = place_room(mapper, shared.room, args.placement)
                    for placement in args.placement:
                        keep(done, key(seed, reconstruct, name, placement), placed, placement)
                    made += 1
                    minutes = (time.perf_counter() - start) / made * (len(left) - made) / 60
                    print(f"rooms:{seed} {reconstruct:9}{name:16}{made:5} of {len(left)} maps, about {minutes:.0f} "
                          "minutes more", file=sys.stderr, flush=True)
        if any(step[0] in group for step in left):
            done.write({"rows": scored(args, groups, configs, truths, done, frames), "settings": settings})
    rows = scored(args, groups, configs, truths, done, frames)
    for placement in args.placement:
        print(f"\n{placement:34} {'AP':>13} {'AP50':>13} {'AP25':>13}  purity  compl.  paper's, ScanNet200")
        for row in rows:
            if row["placement"] == placement:
                paper = " / ".join(f"{v:4.1f}" for v in PAPER.get(row["name"], ()))
                print(f"{row['reconstruct']:10} {row['name']:23} {told(row)}  {paper}")
    return rows


def key(seed: int, reconstruct: str, name: str, placement: str) -> str:
    return f"{reconstruct} | {name} | {placement} | rooms:{seed}"


def keep(done: Kept, name: str, placed: PlacedRoom, placement: Placement) -> None:
    """The end of a map."""
    scale = placed.scale if placement == "aligned" else None
    done.put_prediction(name, placed.placed(placement).final, {"scale": scale})


def bare_rooms(seeds: Iterable[int], frames: int, depth: str) -> Iterator[TrueRoom]:
    """To score against: nothing is rendered."""
    for seed in seeds:
        recording = RoomsSource(seed, frames=frames, depth=depth)
        truth = truth_surface(recording)
        assert truth is not None
        yield TrueRoom(recording, truth)


def scored(
    args: argparse.Namespace, groups: Sequence[Sequence[int]], names: Iterable[str], truths: Mapping[int, TrueRoom],
    done: Kept, frames: int,
) -> list[dict[str, Any]]:
    """The rows of those groups whose rooms are all there."""
    whole = [group for group in groups if all(seed in truths for seed in group)]
    rows = []
    for reconstruct in args.reconstruct:
        for placement in args.placement:
            for name in names:
                placed = []
                for group in whole:
                    keys = {seed: key(seed, reconstruct, name, placement) for seed in group}
                    placed.append([
                        PlacedRoom(truths[s], {placement: {frames: done.prediction(k)}}, done.measured[k]["scale"], {})
                        for s, k in keys.items()
                    ])
                rows.append(table_2_row(name, reconstruct, placement, placed))
    return rows


def table_2_row(
    name: str, reconstruct: str, placement: Placement, placed: Sequence[Sequence[PlacedRoom]]
) -> dict[str, Any]:
    """One row in one placement, with the paper's numbers beside it."""
    answers = [measures(group, placement, {}).as_json() for group in placed]
    constant = {m: round(statistics.fmean(a["constant"][m] or 0.0 for a in answers), 4) for m in MEASURES}
    made = {**summary(name, answers), "placement": placement, "reconstruct": reconstruct, "constant": constant,
            "groups": len(answers)}
    if placement == "aligned":
        made["scales"] = [None if m.scale is None else round(m.scale, 4) for group in placed for m in group]
    if name in PAPER:
        made["paper_scannet200_percent"] = dict(zip(MEASURES, PAPER[name], strict=True))
    return made


def row(name: str, arguments: Mapping[str, Any], groups: Sequence[Sequence[TrueRoom]]) -> dict[str, Any]:
    """One variant."""
    return summary(name, [measure_rooms(group, Bundled(), **arguments).as_json() for group in groups])


def told(made: Mapping[str, Any]) -> str:
    """A row as text."""
    return " ".join(f"{made[m]:6.3f} ±{made['std'][m]:5.3f}" for m in MEASURES) + (
        f"  {made['purity']:6.3f}  {made['completeness']:6.3f}")


def summary(name: str, answers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The mean of the groups, and their spread."""
    measures = (*MEASURES, "purity", "completeness")
    values = {m: [float(answer[m]) for answer in answers if answer[m] is not None] for m in measures}
    return {
        "name": name, **{m: round(statistics.fmean(v), 4) for m, v in values.items()},
        "std": {m: round(statistics.pstdev(values[m]), 4) for m in MEASURES},
    }


def question_row(name: AnswererName, groups: Sequence[Sequence[TrueRoom]]) -> dict[str, Any]:
    """Accuracy by kind of question, mean of the groups and spread of all."""
    parts = Bundled()
    labeler, answerer = labeler_of(name, parts), answerer_of(name, parts)
    answers = [measure_questions(group, parts, labeler, answerer) for group in groups]
    kinds = answers[0]["accuracy"]
    means = {k: round(statistics.fmean(a["accuracy"][k] for a in answers), 4) for k in kinds}
    return {
        "name": name, "accuracy": means,
        "exact": round(statistics.fmean(a["exact"]["all"] for a in answers), 4),
        "phrases": {m: round(statistics.fmean(a["phrases"][m] for a in answers), 4) for m in MEASURES},
        "std": round(statistics.pstdev([a["accuracy"]["all"] for a in answers]), 4),
    }


def tracked(
    args: argparse.Namespace, groups: Sequence[Sequence[TrueRoom]]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """OpenTrack3D: the table, and the questions."""
    rows, questions = [], []
    print(f"{'':30} {'AP':>13} {'AP50':>13} {'AP25':>13}  purity  compl.")
    for name, arguments in variants().items():
        if args.only and name not in args.only:
            continue
        rows.append(row(name, arguments, groups))
        print(f"{name:30} {told(rows[-1])}")
        sys.stdout.flush()
    if not args.only or "questions" in args.only:
        for name in ANSWERERS:
            questions.append(question_row(name, groups))
            accuracy = questions[-1]["accuracy"].items()
            print(f"questions, {name:8} " + "  ".join(f"{k} {v:.3f}" for k, v in accuracy) +
                  f"  (±{questions[-1]['std']:.3f})")
    return rows, questions


def write(path: Path | None, answer: Mapping[str, Any]) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(answer, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("method", choices=METHODS)
    parser.add_argument("--split", choices=("train", "val", "test"), default="test")
    parser.add_argument("--depth", choices=("clean", "noisy"), default="noisy")
    parser.add_argument("--seeds", type=int, default=3, help="groups of rooms")
    parser.add_argument("--rooms", type=int, default=4, help="rooms of a group")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--only", nargs="*", help="rows to run, by name (`questions` for those)")
    parser.add_argument("--masks", choices=("geometric", "truth"), default="geometric", help="of moonseg3r")
    parser.add_argument("--reconstruct", nargs="+", choices=RECONSTRUCT, default=RECONSTRUCT, help="of moonseg3r")
    parser.add_argument("--placement", nargs="+", choices=PLACEMENTS, default=PLACEMENTS, help="of moonseg3r")
    parser.add_argument("--decisions", action="store_true", help="of moonseg3r: one changed at a time, not table 2")
    parser.add_argument("--quick", action="store_true", help="two groups of one room of 20 frames")
    parser.add_argument("--fresh", action="store_true", help="of moonseg3r: measure anew what the file holds")
    parser.add_argument("--json", type=Path, help="write the table here; moonseg3r goes on where it was interrupted")
    args = parser.parse_args()
    seeds, rooms, frames = (2, 1, 20) if args.quick else (args.seeds, args.rooms, args.frames)
    settings: dict[str, Any] = {
        "method": args.method, "split": args.split, "depth": args.depth, "seeds": seeds, "rooms": rooms,
        "frames": frames,
    }
    if args.method == "moonseg3r":
        numbers = list(split_seeds(args.split, seeds * rooms))
        same = {name: settings[name] for name in ("method", "split", "depth", "frames")} | {
            "masks": args.masks, "config": asdict(BUNDLED_NUMBERS), "weights": weights_used()}
        settings |= same
        try:
            done = Kept(args.json, same, args.fresh)
            apart = [numbers[g * rooms : (g + 1) * rooms] for g in range(seeds)]
            done.write({"rows": table_2(args, apart, frames, done, settings), "settings": settings})
        except InputError as error:
            parser.exit(2, f"{error}\n")
    else:
        groups = [
            list(true_rooms(args.split, rooms, seed * rooms, frames, depth=args.depth, keep=True))
            for seed in range(seeds)
        ]
        rows, questions = tracked(args, groups)
        settings["questions"] = "perfect masks, 8 of each kind a room"
        write(args.json, {"rows": rows, "questions": questions, "settings": settings})


if __name__ == "__main__":
    main()
