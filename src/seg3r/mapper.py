"""The loop."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from types import TracebackType
from typing import ParamSpec, TypeVar

import torch
from jaxtyping import Float64
from torch import Tensor

from seg3r.geometry import local_origin, pose_from
from seg3r.protocols import (
    Answerer,
    Associator,
    Embedder,
    HasOrigin,
    Lags,
    Lifter,
    Observer,
    Reconstructor,
    Refiner,
    Segmenter,
)
from seg3r.scene import SceneMap
from seg3r.scene.view import Map
from seg3r.types import Answer, Frame, View

P = ParamSpec("P")
R = TypeVar("R")

STAGES = ("reconstruct", "segment", "embed", "lift", "associate", "add", "maintain", "refine")


class Mapper:
    """Stages in their sockets, and the map they build.

    In a `with` block, or by `run`, the frames that a reconstructor still holds back come into the map at the end;
    after `step` in a loop that is for `finish`.
    """

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
        self.reconstruct = reconstruct
        self.segment = segment
        self.embed = embed
        self.lift = lift
        self.associate = associate
        self.maintain = maintain
        self.refine = refine
        self.answer = answer
        self.scene = scene
        self.observers: list[Observer] = []
        """Called with every view that came into the map."""
        self.seconds: dict[str, list[float]] = {stage: [] for stage in STAGES}
        """Per stage: how long each call took."""
        self._from: Float64[Tensor, "3"] | None = None
        """What the cameras of frames are counted from."""
        self._will_finish = False
        self._refined: tuple[SceneMap, int, SceneMap] | None = None
        self._result: Map | None = None

    def step(self, frame: Frame) -> SceneMap:
        """One more frame; returns the map so far. A reconstructor that waits for later frames lets the map lag."""
        for view in self._timed("reconstruct", self.reconstruct, self.local(frame)):
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
        for view in self.reconstruct.finish():
            self._take(view)
        return self.scene

    def __enter__(self) -> Mapper:
        self._will_finish = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """`finish`, unless an error ends the block."""
        self._will_finish = False
        if kind is None:
            self.finish()

    def run(self, frames: Iterable[Frame]) -> Iterator[SceneMap]:
        """`step` for each frame, then `finish`; the map after each view."""
        with self:
            for frame in frames:
                yield self.step(frame)
            taken = self.scene.frames
        if self.scene.frames > taken:
            yield self.scene

    def result(self) -> Map:
        """The map so far, refined, as a person holds it. The same object until the next view comes.

        Warns:
            UserWarning: frames wait for later ones, and nobody said that `finish` will be called.
        """
        scene = self.refined()
        if self._result is None or self._result.scene is not scene or self._result.answerer is not self.answer:
            self._result = Map(scene, self.answer)
        return self._result

    def refined(self) -> SceneMap:
        """The map so far, refined; the living map goes on unchanged. See `result`."""
        waiting = self.reconstruct.waiting if isinstance(self.reconstruct, Lags) else 0
        if waiting and not self._will_finish:
            warnings.warn(
                f"{waiting} frames wait for later ones and are not in this map: call finish() after the last, or use "
                "`with mapper:` or mapper.run(frames)", stacklevel=2,
            )
        if self._refined is None or self._refined[0] is not self.scene or self._refined[1] != self.scene.frames:
            refined = self._timed("refine", self.refine, self.scene.copy())
            self._refined = self.scene, self.scene.frames, refined
        return self._refined[2]

    def ask(self, question: str) -> Answer:
        """Which instances of the map so far answer a question; none where nothing fits.

        Raises:
            InputError: an empty question, or this mapper has nobody who answers.
        """
        return self.result().ask(question)

    def _take(self, view: View) -> None:
        if self.scene.frames == 0:
            self._settle(view)
        masks = self._timed("embed", self.embed, view, self._timed("segment", self.segment, view))
        segments = self._timed("lift", self.lift, view, masks)
        matches = self._timed("associate", self.associate, view, segments, self.scene)
        ids = self._timed("add", self.scene.add, view, segments, matches)
        for observe in self.observers:
            observe(view, segments, ids)
        self.scene = self._timed("maintain", self.maintain, self.scene)

    def _settle(self, first: View) -> None:
        """In a world of the reconstructor's own: where the recording's lies says nothing of it."""
        given = first.frame.camera
        own = self.reconstruct.origin if isinstance(self.reconstruct, HasOrigin) else None
        if own is not None:
            self.scene.origin = own
        elif given is None or not torch.equal(given.T_world_cam, first.camera.T_world_cam):
            self.scene.origin = torch.zeros(3, dtype=torch.float64)

    def _timed(self, stage: str, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        start = time.perf_counter()
        result = call(*args, **kwargs)
        self.seconds[stage].append(time.perf_counter() - start)
        return result
