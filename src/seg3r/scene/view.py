"""What a person holds of a finished map: its instances, one by one, and answers to questions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import overload

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64, UInt8

from seg3r.errors import InputError
from seg3r.scene.map import SceneMap
from seg3r.types import Answer, Sighting


@dataclass(frozen=True, eq=False, repr=False)
class Instance:
    """One thing of a map. Equal to another if both are the same instance of the same map."""

    scene: SceneMap
    id: int
    """Never used for another thing."""

    @property
    def name(self) -> str | None:
        """What a labeler called it or, without one, most of its masks."""
        return self.scene.names[self._row]

    @property
    def score(self) -> float:
        """How far to trust it, in 0..1."""
        return float(self.scene.scores[self._row])

    @cached_property
    def point_rows(self) -> Int64[np.ndarray, "p"]:
        """Which points of the map are its own."""
        return self.scene.points_of(self.id)[0].numpy()

    @property
    def points(self) -> Float64[np.ndarray, "p 3"]:
        """In the world of the recording, metres."""
        places: Float64[np.ndarray, "p 3"] = self.scene.world_points.numpy()[self.point_rows]
        return places

    @property
    def colors(self) -> UInt8[np.ndarray, "p 3"]:
        """sRGB, as the recording saw them."""
        colors: UInt8[np.ndarray, "p 3"] = self.scene.colors.numpy()[self.point_rows]
        return colors

    @property
    def box(self) -> Float64[np.ndarray, "2 3"]:
        """Low and high corner of its points, along the axes of the world, metres.

        Raises:
            InputError: it has no points.
        """
        points = self.points
        if not len(points):
            raise InputError(f"instance {self.id} has no points")
        return np.stack((points.min(0), points.max(0)))

    @property
    def size_m(self) -> Float64[np.ndarray, "3"]:
        """Sides of `box`."""
        low, high = self.box
        size: Float64[np.ndarray, "3"] = high - low
        return size

    @property
    def views(self) -> tuple[Sighting, ...]:
        """Its few best views, best first; none where no image showed it."""
        return self.scene.sightings.get(self.id, ())

    def crop(self, view: int = 0) -> UInt8[np.ndarray, "h w 3"]:
        """A picture of it, sRGB: cut out of one of its best views, with some context.

        Raises:
            InputError: it has no such view.
        """
        if not 0 <= view < len(self.views):
            raise InputError(f"view={view}: instance {self.id} has {len(self.views)} views, counted from 0")
        crop: UInt8[np.ndarray, "h w 3"] = self.views[view].crop.numpy()
        return crop

    @property
    def _row(self) -> int:
        row = int(torch.searchsorted(self.scene.ids, self.id))
        if row == len(self.scene) or int(self.scene.ids[row]) != self.id:
            raise InputError(f"the map holds no instance {self.id} any more")
        return row

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Instance) and self.scene is other.scene and self.id == other.id

    def __hash__(self) -> int:
        return hash((id(self.scene), self.id))

    def __repr__(self) -> str:
        sides = " x ".join(f"{100 * side:.0f}" for side in self.size_m) if len(self.point_rows) else ""
        size = f"{sides} cm" if sides else "without points"
        return f"<Instance {self.id}: {self.name or 'unnamed'}, {size}, score {self.score:.2f}>"


class Map:
    """A finished map: `len(map)`, `map[7]`, `map["chair"]`, `for thing in map`, `map.ask(...)`."""

    def __init__(self, scene: SceneMap, answer: Callable[[SceneMap, str], Answer] | None = None) -> None:
        """Args:
        scene: what the map consists of, for whoever computes with it.
        answer: who answers questions.
        """
        self.scene = scene
        self.answerer = answer
        self._answers: dict[str, Answer] = {}
        self._answered_of = -1

    def __len__(self) -> int:
        """Number of instances."""
        return len(self.scene)

    def __iter__(self) -> Iterator[Instance]:
        """By id."""
        return iter([Instance(self.scene, i) for i in self.scene.ids.tolist()])

    @overload
    def __getitem__(self, which: int) -> Instance: ...

    @overload
    def __getitem__(self, which: str) -> list[Instance]: ...

    def __getitem__(self, which: int | str) -> Instance | list[Instance]:
        """The instance of an id; or all that go by a name (upper and lower case are one), the surest first.

        Raises:
            InputError: no instance has this id. That none has a name is no error.
        """
        if isinstance(which, str):
            named = [thing for thing in self if (thing.name or "").casefold() == which.casefold()]
            return sorted(named, key=lambda thing: (-thing.score, thing.id))
        if which not in self:
            ids = self.scene.ids.tolist()
            known = f"ids go from {ids[0]} to {ids[-1]}, with gaps" if ids else "it holds none"
            raise InputError(f"the map holds no instance {which}; {known}")
        return Instance(self.scene, int(which))

    def __contains__(self, which: object) -> bool:
        """Whether there is an instance of this id, of this name, or this one."""
        if isinstance(which, str):
            return bool(self[which])
        if isinstance(which, Instance):
            return which.scene is self.scene and which.id in self
        return isinstance(which, (int, np.integer)) and int(which) in self.scene.ids.tolist()

    @property
    def names(self) -> list[str]:
        """What its instances are called, each name once, by the alphabet."""
        return sorted({name for name in self.scene.names if name is not None})

    @property
    def points(self) -> Float64[np.ndarray, "n 3"]:
        """All points, in the world of the recording, metres."""
        places: Float64[np.ndarray, "n 3"] = self.scene.world_points.numpy()
        return places

    @property
    def colors(self) -> UInt8[np.ndarray, "n 3"]:
        """sRGB of all points."""
        return self.scene.colors.numpy()

    def ask(self, question: str) -> Answer:
        """Which instances answer a question, best first; none where nothing fits. The same question of an unchanged map
        is answered at once.

        Raises:
            InputError: an empty question, or nobody to answer.
        """
        if not question.strip():
            raise InputError('question: it is empty; ask for something, as in "something to sit on"')
        if self.answerer is None:
            raise InputError("this map has nobody who answers; open it by seg3r.open_map, or give it `answer`")
        if self.scene.revision != self._answered_of:
            self._answers, self._answered_of = {}, self.scene.revision
        if question not in self._answers:
            self._answers[question] = self.answerer(self.scene, question)
        return self._answers[question]

    def instances(self, answer: Answer) -> list[Instance]:
        """Those that an answer names, in its order."""
        return [Instance(self.scene, i) for i in answer.instance_ids]

    def mask(self, ids: Sequence[int]) -> Bool[np.ndarray, "n"]:
        """Which of all points any of these instances owns."""
        return self.scene.mask_of(ids).numpy()

    def labels(self, points: Float[np.ndarray, "m 3"], reach_m: float | None = None) -> Int64[np.ndarray, "m"]:
        """Instance id of each of your own points, in their order; 0: nobody's.

        Args:
            points: in the world of the recording, metres.
            reach_m: how far the nearest owned point of the map may be; None: two voxels.

        Raises:
            InputError: points that are not finite, or a map of an earlier version that holds an instance 0.
        """
        if 0 in self:
            raise InputError(
                "this map was written by an earlier version and holds an instance 0, which cannot be told from nobody; "
                "use map.scene.labels, where -1 is nobody"
            )
        places = torch.from_numpy(np.ascontiguousarray(points, np.float64))
        found: Int64[np.ndarray, "m"] = np.maximum(self.scene.labels(places, reach_m).numpy(), 0)
        return found

    def __repr__(self) -> str:
        first = ", ".join(self.names[:5]) + (" ..." if len(self.names) > 5 else "")
        called = f" ({first})" if first else ""
        return f"<Map of {self.scene.frames} views: {len(self)} instances{called}, {self.scene.point_count} points>"
