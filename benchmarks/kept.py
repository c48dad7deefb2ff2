"""What a benchmark has measured stays in its JSON: one that was interrupted goes on where it stopped. Other settings or
other weights measure something else: they are refused, not mixed. Other code is not noticed (`--fresh`)."""

from __future__ import annotations

import hashlib
import json
import shutil
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from seg3r.errors import InputError
from seg3r.files import replacing, write_json
from seg3r.metrics.instance_ap import ScenePrediction
from seg3r.weights.bundled import FOLDER


class Kept:
    """Measurements by name, written down after each."""

    def __init__(self, path: Path | None, same: Mapping[str, Any], fresh: bool = False) -> None:
        """
        Args:
            path: of the JSON; None: nothing is kept.
            same: everything that makes a measurement the same one.
            fresh: forget what the file holds.

        Raises:
            InputError: the file holds something else.
        """
        self.path, self.same = path, json.loads(json.dumps(same))
        self.measured: dict[str, Any] = {}
        self._answer: dict[str, Any] = {}
        self._said: dict[str, ScenePrediction] = {}
        if path is None:
            return
        if fresh:
            shutil.rmtree(self.folder, ignore_errors=True)
        elif path.is_file():
            self._take(path)

    def _take(self, path: Path) -> None:
        try:
            had = json.loads(path.read_text(encoding="utf-8"))
            same, measured = had.pop("same"), had.pop("measured")
        except (ValueError, KeyError, AttributeError) as error:
            raise InputError(f"{path}: not what this benchmark left there; name another file, or --fresh") from error
        if other := sorted(k for k in {*same, *self.same} if same.get(k) != self.same.get(k)):
            raise InputError(f"{path}: measured with another {', '.join(other)}; name another file, or --fresh")
        self._answer = had
        self.measured = {
            name: value for name, value in measured.items()
            if "file" not in value or (self.folder / value["file"]).is_file()
        }

    @property
    def folder(self) -> Path:
        """What is too large for a JSON lies here."""
        assert self.path is not None
        return self.path.with_suffix(".kept")

    def __call__(self, name: str, measure: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
        """What was measured under this name, or is now."""
        if name not in self.measured:
            self.put(name, measure())
        found: dict[str, Any] = self.measured[name]
        return found

    def put(self, name: str, value: Mapping[str, Any]) -> None:
        """A new measurement."""
        self.measured[name] = dict(value)
        self.write(self._answer)

    def put_prediction(self, name: str, said: ScenePrediction, value: Mapping[str, Any]) -> None:
        """What a map says of a room, in a file beside the JSON; `value` goes into the JSON."""
        if self.path is None:
            self._said[name] = said
            self.put(name, value)
        else:
            file = "".join(c if c.isalnum() else "-" for c in name) + ".npz"
            save_prediction(self.folder / file, said)
            self.put(name, {**value, "file": file})

    def prediction(self, name: str) -> ScenePrediction:
        """What was put."""
        return self._said[name] if self.path is None else load_prediction(self.folder / self.measured[name]["file"])

    def write(self, answer: Mapping[str, Any]) -> None:
        """The file, with what follows from the measurements so far."""
        self._answer = dict(answer)
        if self.path is not None:
            write_json(self.path, {**answer, "same": self.same, "measured": self.measured})


def weights_used() -> dict[str, str]:
    """Bundled network -> first digits of its file's SHA-256: other weights measure something else."""
    files = sorted(FOLDER.glob("*/model.safetensors"))
    return {f.parent.name: hashlib.sha256(f.read_bytes()).hexdigest()[:12] for f in files}


def key(name: str, seed: int) -> str:
    """Under which name a row's measurement of a room is kept."""
    return f"{name} | rooms:{seed}"


def save_prediction(path: Path, said: ScenePrediction) -> None:
    """Whole or not at all."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(
            file, vertices=said.vertices.astype(np.int32), starts=said.starts, labels=said.labels, scores=said.scores,
            vertex_count=np.array(said.vertex_count),
        )


def load_prediction(path: Path) -> ScenePrediction:
    """What `save_prediction` wrote."""
    with np.load(path, allow_pickle=False) as file:
        return ScenePrediction(
            file["vertices"].astype(np.int64), file["starts"], int(file["vertex_count"]), file["labels"],
            file["scores"],
        )


def mean_and_spread(groups: Sequence[Sequence[Mapping[str, Any]]], columns: Sequence[str]) -> dict[str, Any]:
    """Each column's mean over the rooms of a group, then mean and spread over the groups. None counts for nothing, and
    is the answer where there is nothing else."""
    row: dict[str, Any] = {}
    std: dict[str, Any] = {}
    for name in columns:
        known = [[r[name] for r in group if r.get(name) is not None] for group in groups]
        means = [statistics.fmean(values) for values in known if values]
        row[name] = round(statistics.fmean(means), 4) if means else None
        std[name] = round(statistics.pstdev(means), 4) if means else None
    return {**row, "std": std}


def table(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str], title: str) -> Table:
    """Rows as text: mean, and spread where there is one.

    Args:
        columns: name in the rows -> heading.
    """
    out = Table(title=title)
    out.add_column("")
    for heading in columns.values():
        out.add_column(heading, justify="right")
    for row in rows:
        spread = row.get("std", {})
        cells = []
        for name in columns:
            value, off = row.get(name), spread.get(name)
            cells.append("-" if value is None else f"{value:.3g}" + ("" if off is None else f" ±{off:.2g}"))
        out.add_row(str(row["name"]), *cells)
    return out
