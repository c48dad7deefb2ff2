"""Frame -> View from a single moving camera, weight-free: its pose by features, depth by plane sweeps.

Up to scale: at the start the points have a median depth of `median_m`, so that numbers look like metres. A view comes
`lag` frames late: then other views stand on both sides of it. Where the focal length has to be found, the first views
wait until it is known well (20 keyframes), and come together.

Where a blurred stretch leaves few known points in view the scale may slide. Steps out of all proportion are refused and
reported (`events`); a slow change is noticed when a place comes into view again: what follows stands right from then
on, views given before stay where they are, and an event reports it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from jaxtyping import UInt8

from seg3r.geometry import transform, unproject
from seg3r.reconstruct.point_map import PointMap
from seg3r.reconstruct.size import checked_size
from seg3r.reconstruct.sweep import PosedImage, Sweep, SweptView
from seg3r.reconstruct.tracking import Tracker
from seg3r.types import Camera, Event, Frame, View

GUESS = 0.9
"""Focal length over the image's width where none is known: a phone's main camera."""
REMEMBERED = 4
"""Earlier depths that a new one is compared with."""
BEHIND = 8
"""Frames back that may still serve as sources."""
BASELINE = 0.06
"""Of the median depth: how far aside a source should be."""
SOURCES = 3


@dataclass(frozen=True, eq=False)
class _Waiting:
    frame: Frame
    gray: UInt8[np.ndarray, "h w"]


@dataclass(frozen=True, eq=False)
class _Known:
    image: PosedImage
    near: float
    middle: float
    far: float


class Odometry:
    """Remembers its map of points and the last frames; cannot put them down, so an interrupted run sees its frames
    again."""

    def __init__(
        self, focal_px: float | None = None, centre_px: tuple[float, float] | None = None, *, seed: int = 0,
        lag: int = 4, patience: int = 60, view_side: int = 512, median_m: float = 2.0, sweep: Sweep | None = None,
    ) -> None:
        """
        Args:
            focal_px: of the camera, in pixels of its frames; None: it is found with the first keyframes.
            centre_px: principal point (column, row) in pixels of its frames; None: the middle. Ten pixels off, and a
                fast turn costs the scale.
            seed: of random samples.
            lag: frames a view comes late.
            patience: frames that wait for a start, or for a focal length. Of those without a start older ones are
                dropped, and an event reports it.
            view_side: long side of a view, at most that of the frame.
            median_m: depth of the first points.
        """
        self.focal_px, self.centre_px, self.seed, self.lag, self.patience = focal_px, centre_px, seed, lag, patience
        self.view_side, self.median_m, self.sweep = view_side, median_m, sweep or Sweep()
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._tracker: Tracker | None = None
        self._size: tuple[int, int] | None = None
        self._waiting: list[_Waiting] = []
        self._known: dict[int, _Known] = {}
        self._earlier: list[SweptView] = []
        self._turns = 0

    @property
    def events(self) -> Sequence[Event]:
        """What happened on the way: the start, frames lost, found, refused, dropped."""
        return () if self._tracker is None else tuple(self._tracker.events)

    @property
    def waiting(self) -> int:
        """Frames whose view may still come."""
        return len(self._waiting)

    def __call__(self, frame: Frame) -> list[View]:
        """Those views whose later neighbours have come.

        Raises:
            InputError: a frame of another size than those before.
        """
        H, W = self._size = checked_size(frame, self._size)
        small, gray = self._small(frame)
        if self._tracker is None:
            focal = GUESS * gray.shape[1] if self.focal_px is None else self.focal_px * gray.shape[1] / W
            h, w = gray.shape
            centre = ((w - 1) / 2, (h - 1) / 2)
            if self.centre_px is not None:
                centre = ((self.centre_px[0] + 0.5) * w / W - 0.5, (self.centre_px[1] + 0.5) * h / H - 0.5)
            self._tracker = Tracker(PointMap(focal, self.focal_px is None), centre, self.median_m, self.seed)
        tracker = self._tracker
        lag = self.lag if tracker.map.settled else max(self.lag, self.patience)
        tracker.remembered = lag + BEHIND + 1
        self._waiting.append(_Waiting(small, gray))
        poses = tracker(frame.index, gray)
        grays = {i: known.image.gray for i, known in self._known.items()}
        grays |= {w.frame.index: w.gray for w in self._waiting}
        f, (x, y) = tracker.map.focal, tracker.centre
        K = np.array(((f, 0, x), (0, f, y), (0, 0, 1)), np.float64)
        if tracker.turns > self._turns:
            self._turns, self._earlier = tracker.turns, []  # of another scale
        for index, (T_cam_world, depth) in poses.items():
            if index in grays:
                low, middle, high = np.percentile(depth, (2, 50, 98))
                image = PosedImage(grays[index], K, np.linalg.inv(T_cam_world))
                self._known[index] = _Known(image, 0.7 * float(low), float(middle), 1.4 * float(high))
        if not tracker.started:
            self._give_up()
            return []
        return [view for w in self._ready(lag) if (view := self._view(w)) is not None]

    def finish(self) -> list[View]:
        """The last frames, with the neighbours they have."""
        if self._tracker is None or not self._tracker.started:
            self._waiting = []
            return []
        return [view for w in self._ready(0) if (view := self._view(w)) is not None]

    def _ready(self, lag: int) -> list[_Waiting]:
        count = max(0, len(self._waiting) - lag)
        ready, self._waiting = self._waiting[:count], self._waiting[count:]
        return ready

    def _give_up(self) -> None:
        assert self._tracker is not None
        if len(self._waiting) > self.patience:
            gone = self._waiting.pop(0).frame.index
            self._tracker.forget(self._waiting[0].frame.index)
            self._tracker.events.append(Event(gone, "dropped", "no start was found: the camera has to move aside"))

    def _view(self, waiting: _Waiting) -> View | None:
        """None where the frame has no pose, or nothing to compare it with."""
        known = self._known.get(waiting.frame.index)
        sources = [] if known is None else self._sources(waiting.frame.index, known)
        for index in sorted(i for i in self._known if i < waiting.frame.index)[:-BEHIND]:
            del self._known[index]
        if known is None or not sources:
            return None
        depth, confidence = self.sweep(known.image, sources, known.near, known.far, self._earlier)
        self._earlier = [*self._earlier, SweptView(known.image, depth, confidence)][-REMEMBERED:]
        sure = torch.from_numpy(confidence)
        z = torch.where(sure > 0, torch.from_numpy(depth), torch.zeros(()))
        K, T = torch.from_numpy(known.image.K), torch.from_numpy(known.image.T_world_cam)
        size = (known.image.gray.shape[0], known.image.gray.shape[1])
        points = transform(T.float(), unproject(z, K.float()))
        return View(waiting.frame, Camera(K, T, size), z, points, sure)

    def _sources(self, index: int, known: _Known) -> list[PosedImage]:
        """The best one from each side in time, then whoever stands aside as wanted."""
        here = known.image.T_world_cam[:3, 3]

        def fit(other: int) -> float:
            apart = float(np.linalg.norm(self._known[other].image.T_world_cam[:3, 3] - here))
            return abs(float(np.log(max(apart, 1e-6) / (BASELINE * known.middle))))

        near = sorted((i for i in self._known if i != index), key=fit)
        chosen = [*[i for i in near if i > index][:1], *[i for i in near if i < index][:1]]
        chosen += [i for i in near if i not in chosen][: SOURCES - len(chosen)]
        return [self._known[i].image for i in chosen]

    def _small(self, frame: Frame) -> tuple[Frame, UInt8[np.ndarray, "h w"]]:
        """The frame as the view will have it, without what a sensor measured; and its grey image."""
        rgb = frame.rgb.numpy()
        H, W = rgb.shape[:2]
        share = self.view_side / max(H, W)
        if share < 1:
            rgb = cv2.resize(rgb, (round(W * share), round(H * share)), interpolation=cv2.INTER_AREA)
        gray = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.uint8)
        small = torch.from_numpy(np.ascontiguousarray(rgb).astype(np.uint8))
        return replace(frame, rgb=small, depth=None, camera=None), gray
