"""What is known of each instance: how it looks, how often it was seen, what it was called, its best looks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
from jaxtyping import Float32, Int64

from seg3r.errors import InputError
from seg3r.scene.columns import Columns
from seg3r.scene.sightings import better_sightings
from seg3r.types import Segments, Sighting

GALLERY = 8
"""Descriptors kept per instance, chosen to differ (docs/opentrack3d.md, 3.4)."""
HEAVIEST = 8.0
"""One observation counts at most so many times the mean weight of its instance's."""


class Instances:
    """Rows of parallel columns; ids are never reused, rows are, so that memory follows the instances alive."""

    def __init__(self, features: int, identity: int) -> None:
        self.columns = Columns(
            64,
            id=(np.int64, (), -1), score=(np.float32, (), np.nan), weight=(np.float32, (), 0),
            score_sum=(np.float32, (), 0),
            observations=(np.int32, (), 0), missed=(np.int32, (), 0), first_frame=(np.int64, (), -1),
            last_frame=(np.int64, (), -1), feature=(np.float32, (features,), 0), identity=(np.float32, (identity,), 0),
            gallery=(np.float32, (GALLERY, features), 0), in_gallery=(np.int32, (), 0),
            low=(np.float32, (3,), np.inf), high=(np.float32, (3,), -np.inf),
        )
        self.rows = 0
        """Rows in use or freed: those beyond were never used."""
        self.next_id = 1
        self.name_votes: dict[int, dict[str, float]] = {}
        self.name_labels: dict[int, tuple[str | None, float]] = {}
        self.sightings: dict[int, tuple[Sighting, ...]] = {}
        self.merged_into: dict[int, int] = {}
        """Of those that ended so; who they became may have ended so too, see `became`."""
        self._row_of: dict[int, int] = {}
        self._free_rows: list[int] = []

    def __len__(self) -> int:
        return len(self._row_of)

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        return self.columns[name]

    @property
    def widths(self) -> tuple[int, int]:
        """Of descriptors and of identity tokens."""
        return int(self.columns["feature"].shape[1]), int(self.columns["identity"].shape[1])

    def copy(self) -> Instances:
        """Independent storage with the same content."""
        copied = Instances(0, 0)
        copied.columns, copied.rows, copied.next_id = self.columns.copy(), self.rows, self.next_id
        copied.name_votes = {i: dict(votes) for i, votes in self.name_votes.items()}
        copied.name_labels = dict(self.name_labels)
        copied.merged_into = dict(self.merged_into)
        copied.sightings = dict(self.sightings)
        copied._row_of, copied._free_rows = dict(self._row_of), list(self._free_rows)
        return copied

    def alive(self) -> Int64[np.ndarray, "n"]:
        """Rows of all instances in the order of their ids."""
        return np.array([self._row_of[i] for i in sorted(self._row_of)], np.int64)

    def row(self, instance_id: int) -> int:
        """Raises InputError if there is no such instance."""
        if instance_id not in self._row_of:
            raise InputError(f"the map holds no instance {instance_id}")
        return self._row_of[instance_id]

    def became(self, instance_id: int) -> int:
        """Where the merges of this id end; itself if it was not merged."""
        while instance_id in self.merged_into:
            instance_id = self.merged_into[instance_id]
        return instance_id

    def rows_of(self, ids: Iterable[int]) -> Int64[np.ndarray, "k"]:
        """`row` of each."""
        return np.array([self.row(i) for i in ids], np.int64)

    def new(self, instance_id: int | None = None) -> int:
        """Row of a new instance; `instance_id`: of one that stood elsewhere and comes back."""
        if self._free_rows:
            row = self._free_rows.pop(0)
        else:
            row = self.rows
            self.rows += 1
            self.columns.reserve(self.rows)
        self.columns.clear(row)
        if instance_id is None:
            instance_id, self.next_id = self.next_id, self.next_id + 1
        self.columns["id"][row] = instance_id
        self._row_of[instance_id] = row
        return row

    def free(self, instance_id: int) -> None:
        """End an instance."""
        row = self._row_of.pop(instance_id)
        self.columns["id"][row] = -1
        self.name_votes.pop(instance_id, None)
        self.name_labels.pop(instance_id, None)
        self.sightings.pop(instance_id, None)
        self._free_rows.append(row)
        self._free_rows.sort()

    def load(self, columns: dict[str, npt.NDArray[np.generic]]) -> None:
        """Take over saved columns."""
        for name, values in columns.items():
            self.columns[name] = values
        self.rows = len(columns["id"])
        self._row_of = {int(i): row for row, i in enumerate(columns["id"])}

    def observe(self, row: int, segments: Segments, s: int, points: Float32[np.ndarray, "p 3"]) -> None:
        """One more look: segment `s` with its points. Means are weighted by the evidence behind each look."""
        c = self.columns
        score = float(segments.scores[s])
        weight = float(segments.areas[s]) * score
        count = int(c["observations"][row])
        if count:
            weight = min(weight, HEAVIEST * float(c["weight"][row]) / count)
        if segments.features is not None:
            feature = segments.features[s].numpy()
            if np.any(feature):
                c["feature"][row] = unit(c["feature"][row] * c["weight"][row] + feature * weight)
                self._keep_diverse(row, feature)
        if segments.identity is not None and bool(segments.identity[s].any()):
            # The latest: what a network remembers of a thing changes on the way (docs/moonseg3r.md, D20).
            c["identity"][row] = unit(segments.identity[s].numpy())
        c["weight"][row] += weight
        c["score_sum"][row] += score
        c["observations"][row] = count + 1
        c["missed"][row] = 0
        c["last_frame"][row] = segments.frame_index
        if count == 0:
            c["first_frame"][row] = segments.frame_index
        if len(points):
            c["low"][row] = np.minimum(c["low"][row], points.min(0))
            c["high"][row] = np.maximum(c["high"][row], points.max(0))
        name = None if segments.names is None else segments.names[s]
        if name is not None:
            self._vote(int(c["id"][row]), {name: score})

    def _vote(self, instance_id: int, more: dict[str, float]) -> None:
        votes = self.name_votes.setdefault(instance_id, {})
        for name, vote in more.items():
            votes[name] = votes.get(name, 0.0) + vote

    def _keep_diverse(self, row: int, feature: Float32[np.ndarray, "d"]) -> None:
        """A full gallery lets go of one of its two most alike, if the newcomer resembles none so much."""
        stored, count = self.columns["gallery"][row], int(self.columns["in_gallery"][row])
        if count < GALLERY:
            stored[count] = feature
            self.columns["in_gallery"][row] = count + 1
            return
        alike = stored @ stored.T
        np.fill_diagonal(alike, -2)
        most_alike = int(alike.argmax())
        if float((stored @ feature).max()) < float(alike.flat[most_alike]):
            stored[most_alike // GALLERY] = feature

    def merge(self, into: int, other: int) -> None:
        """Counts add, means are weighted, the looks compete; of two scores from outside the higher stays; `other` ends,
        and its label with it."""
        a, b, c = self.row(into), self.row(other), self.columns
        c["feature"][a] = unit(c["feature"][a] * c["weight"][a] + c["feature"][b] * c["weight"][b])
        if c["last_frame"][b] > c["last_frame"][a]:
            c["identity"][a] = c["identity"][b]
        for look in c["gallery"][b][: int(c["in_gallery"][b])]:
            self._keep_diverse(a, look)
        for name in ("weight", "score_sum", "observations"):
            c[name][a] += c[name][b]
        c["score"][a] = np.fmax(c["score"][a], c["score"][b])
        for name in ("missed", "first_frame", "low"):
            c[name][a] = np.minimum(c[name][a], c[name][b])
        for name in ("last_frame", "high"):
            c[name][a] = np.maximum(c[name][a], c[name][b])
        if other in self.name_votes:
            self._vote(into, self.name_votes[other])
        stored = self.sightings.get(into, ())
        for sighting in self.sightings.get(other, ()):
            stored = better_sightings(
                stored, sighting.score, sighting.direction, lambda sighting=sighting: sighting  # type: ignore[misc]
            )
        self.sightings[into] = stored
        self.merged_into[other] = into
        self.free(other)


def unit(vector: Float32[np.ndarray, "d"]) -> Float32[np.ndarray, "d"]:
    """Scaled to length one; zero stays zero."""
    length = float(np.sqrt(np.dot(vector, vector)))
    return vector / np.float32(length) if length > 0 else vector
