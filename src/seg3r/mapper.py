"""The loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Generic, ParamSpec, TypeVar

import torch
from jaxtyping import Float64
from torch import Tensor

from seg3r.errors import InputError
from seg3r.geometry import local_origin, pose_from
from seg3r.protocols import Answerer, Associator, Embedder, HasOrigin, Lifter, Reconstructor, Refiner, Segmenter
from seg3r.scene import SceneMap
from seg3r.types import Answer, Frame, View

P = ParamSpec("P")
R = TypeVar("R")


class Timed(Generic[P, R]):
    """A stage that notes how long each of its calls took."""

    def __init__(self, stage: Callable[P, R]) -> None:
        self.stage = stage
        self.seconds: list[float] = []

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        start = time.perf_counter()
        result = self.stage(*args, **kwargs)
        self.seconds.append(time.perf_counter() - start)
        return result


class Mapper:
    """Stages in their sockets, and the map they build."""

    def __init__(
        self,
        reconstruct: Reconstructor,
        segment: Segmenter,
        embed: Embedder,
        lift: Lifter,
        associate: Associator,
        maintain: Refiner,
        refine: Refiner,
        scene: SceneMap,
        answer: Answerer | None = None,
    ) -> None:
        """Args:
            maintain: after every frame, on the living map (small and local).
            refine: on a copy of the map, whenever a result is asked for.
            scene: the map to continue; an empty one to begin.
            answer: who answers questions about the map.
        """
        self.reconstruct = Timed(reconstruct)
        self.segment = Timed(segment)
        self.embed = Timed(embed)
        self.lift = Timed(lift)
        self.associate = Timed(associate)
        self.maintain = Timed(maintain)
        self.refine = Timed(refine)
        self.add = Timed(SceneMap.add)
        self.answer = answer
        self.scene = scene
        self._from: Float64[Tensor, "3"] | None = None
        """What the cameras of frames are counted from."""

    def step(self, frame: Frame) -> SceneMap:
        """One more frame; returns the map so far. A reconstructor that waits for later frames lets the map lag."""
        for view in self.reconstruct(self.local(frame)):
            self._take(view)
        return self.scene

    def local(self, frame: Frame) -> Frame:
        """The frame as the reconstructor gets it: its camera counted from the map's origin, which the first one says.

        All that follows is near zero, where float32 tells micrometres apart.
        """
        if frame.camera is None:
            return frame
        pose = frame.camera.T_world_cam
        if self._from is None:
            if self.scene.frames == 0 and not self.scene.has_origin:
                self.scene.origin = local_origin(pose[:3, 3])
            self._from = self.scene.origin
        local = pose_from(self._from, pose)
        return frame if local is pose else replace(frame, camera=replace(frame.camera, T_world_cam=local))

    def finish(self) -> SceneMap:
        """The recording is over: take what the reconstructor still owes; returns the map."""
        reconstructor = self.reconstruct.stage
        assert isinstance(reconstructor, Reconstructor)
        for view in reconstructor.finish():
            self._take(view)
        return self.scene

    def _take(self, view: View) -> None:
        if self.scene.frames == 0:
            self._settle(view)
        masks = self.embed(view, self.segment(view))
        segments = self.lift(view, masks)
        matches = self.associate(view, segments, self.scene)
        self.add(self.scene, view, segments, matches)
        self.scene = self.maintain(self.scene)

    def _settle(self, first: View) -> None:
        """In a world of the reconstructor's own: where the recording's lies says nothing of it."""
        reconstructor, given = self.reconstruct.stage, first.frame.camera
        own = reconstructor.origin if isinstance(reconstructor, HasOrigin) else None
        if own is not None:
            self.scene.origin = own
        elif given is None or not torch.equal(given.T_world_cam, first.camera.T_world_cam):
            self.scene.origin = torch.zeros(3, dtype=torch.float64)

    def run(self, frames: Iterable[Frame]) -> Iterator[SceneMap]:
        """`step` for each frame, then `finish`; the map after each view."""
        for frame in frames:
            yield self.step(frame)
        taken = self.scene.frames
        if self.finish().frames > taken:
            yield self.scene

    def result(self) -> SceneMap:
        """The map so far, refined; the living map goes on unchanged."""
        return self.refine(self.scene.copy())

    def ask(self, question: str) -> Answer:
        """Which instances of the map so far answer a question; none where nothing fits.

        Raises:
            InputError: this mapper has nobody who answers.
        """
        if self.answer is None:
            raise InputError("this mapper has nobody who answers; build it by seg3r.opentrack3d() or give it `answer`")
        return self.answer(self.result(), question)

    @property
    def seconds(self) -> dict[str, list[float]]:
        """Per stage: how long each call took."""
        return {
            "reconstruct": self.reconstruct.seconds,
            "segment": self.segment.seconds,
            "embed": self.embed.seconds,
            "lift": self.lift.seconds,
            "associate": self.associate.seconds,
            "add": self.add.seconds,
            "maintain": self.maintain.seconds,
            "refine": self.refine.seconds,
        }
