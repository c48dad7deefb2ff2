"""What each part of OpenTrack3D brings, on procedural rooms: the ablations of the paper's tables 4 to 8, and the oracle
ladder. Mean and spread over disjoint groups of rooms ("seeds").
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seg3r.api import METHODS, SWITCHES, evaluate_questions
from seg3r.api.measuring import measure_rooms, switched_off
from seg3r.api.truth import TrueRoom, true_rooms
from seg3r.methods.opentrack3d import OpenTrack3DConfig

MEASURES = ("AP", "AP50", "AP25")
MATCH = (0.15, 0.25, 0.45, 0.55)
CONSISTENCY = (0.2, 0.3, 0.5, 0.6)


def variants() -> dict[str, dict[str, Any]]:
    """Row -> arguments of `measure_rooms`."""
    rows: dict[str, dict[str, Any]] = {"whole": {}}
    rows.update({f"no {name}": {"config": switched_off((name,))} for name in SWITCHES})
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


def row(name: str, arguments: Mapping[str, Any], groups: Sequence[Sequence[TrueRoom]]) -> dict[str, Any]:
    """One variant: the mean of the groups, and their spread."""
    answers = [measure_rooms(group, **arguments) for group in groups]
    measures = (*MEASURES, "purity", "completeness")
    values = {m: [float(answer[m]) for answer in answers if answer[m] is not None] for m in measures}
    return {
        "name": name, **{m: round(statistics.fmean(v), 4) for m, v in values.items()},
        "std": {m: round(statistics.pstdev(values[m]), 4) for m in MEASURES},
    }


def question_row(labels: Any, groups: Sequence[Sequence[TrueRoom]]) -> dict[str, Any]:
    """Accuracy by kind of question, mean of the groups and spread of all."""
    answers = [evaluate_questions(labels, measured=group) for group in groups]
    kinds = answers[0]["accuracy"]
    means = {k: round(statistics.fmean(a["accuracy"][k] for a in answers), 4) for k in kinds}
    return {
        "name": labels, "accuracy": means,
        "exact": round(statistics.fmean(a["exact"]["all"] for a in answers), 4),
        "phrases": {m: round(statistics.fmean(a["phrases"][m] for a in answers), 4) for m in MEASURES},
        "std": round(statistics.pstdev([a["accuracy"]["all"] for a in answers]), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("method", choices=METHODS)
    parser.add_argument("--split", choices=("train", "val", "test"), default="test")
    parser.add_argument("--depth", choices=("clean", "noisy"), default="noisy")
    parser.add_argument("--seeds", type=int, default=3, help="groups of rooms")
    parser.add_argument("--rooms", type=int, default=4, help="rooms of a group")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--only", nargs="*", help="rows to run, by name (`questions` for those)")
    parser.add_argument("--quick", action="store_true", help="two groups of one room of 20 frames")
    parser.add_argument("--json", type=Path, help="write the table here")
    args = parser.parse_args()
    seeds, rooms, frames = (2, 1, 20) if args.quick else (args.seeds, args.rooms, args.frames)
    groups = [
        list(true_rooms(args.split, rooms, seed * rooms, frames, depth=args.depth, keep=True)) for seed in range(seeds)
    ]
    rows, questions = [], []
    print(f"{'':30} {'AP':>13} {'AP50':>13} {'AP25':>13}  purity  compl.")
    for name, arguments in variants().items():
        if args.only and name not in args.only:
            continue
        rows.append(row(name, arguments, groups))
        told = " ".join(f"{rows[-1][m]:6.3f} ±{rows[-1]['std'][m]:5.3f}" for m in MEASURES)
        print(f"{name:30} {told}  {rows[-1]['purity']:6.3f}  {rows[-1]['completeness']:6.3f}")
        sys.stdout.flush()
    if not args.only or "questions" in args.only:
        for labels in ("nearest", "mllm"):
            questions.append(question_row(labels, groups))
            accuracy = questions[-1]["accuracy"].items()
            print(f"questions, {labels:8} " + "  ".join(f"{k} {v:.3f}" for k, v in accuracy) +
                  f"  (±{questions[-1]['std']:.3f})")
    settings = {
        "method": args.method, "split": args.split, "depth": args.depth, "seeds": seeds, "rooms": rooms,
        "frames": frames, "questions": "perfect masks, 8 of each kind a room",
    }
    if args.json is not None:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps({"rows": rows, "questions": questions, "settings": settings}, indent=2) + "\n")


if __name__ == "__main__":
    main()
