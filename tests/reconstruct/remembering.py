"""Reconstructors that remember, small enough for tests: one late with its views, one whose tokens depend on all that it
saw."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace

import torch

from seg3r.reconstruct.sensor import Sensor
from seg3r.types import Camera, Frame, View

STATES = 5


class Late:
    """The views of another, each so many frames late. It puts its waiting frames down."""

    def __init__(self, inner: Sensor, lag: int) -> None:
        self.inner, self.lag = inner, lag
        self.reset()

    def __call__(self, frame: Frame) -> Sequence[View]:
        self._frames.append(frame)
        return self.inner(self._frames.popleft()) if len(self._frames) > self.lag else ()

    @property
    def waiting(self) -> int:
        return len(self._frames)

    def finish(self) -> Sequence[View]:
        views = [view for frame in self._frames for view in self.inner(frame)]
        self._frames.clear()
        return views

    def reset(self) -> None:
        self._frames: deque[Frame] = deque()

    def state(self) -> dict[str, torch.Tensor]:
        kept: dict[str, torch.Tensor] = {}
        for n, frame in enumerate(self._frames):
            assert frame.depth is not None and frame.camera is not None
            kept |= {f"{n}.{name}": value for name, value in {
                "index": torch.tensor(frame.index), "time": torch.tensor(frame.time_s, dtype=torch.float64),
                "rgb": frame.rgb, "depth": frame.depth, "K": frame.camera.K, "T": frame.camera.T_world_cam,
            }.items()}
        return kept

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        self.reset()
        for n in range(len(state) // 6):
            of = {name: state[f"{n}.{name}"] for name in ("index", "time", "rgb", "depth", "K", "T")}
            size = (of["rgb"].shape[0], of["rgb"].shape[1])
            self._frames.append(Frame(
                int(of["index"]), float(of["time"]), of["rgb"], of["depth"], Camera(of["K"], of["T"], size)
            ))


class Stubborn(Late):
    """Late, and cannot put its frames down."""

    state = restore = None  # type: ignore[assignment]


class Tokens:
    """Tokens and attention that mix the picture into a running state, so that a forgotten frame shows."""

    def __init__(self) -> None:
        self.reset()

    def __call__(self, frame: Frame) -> tuple[View, ...]:
        view = Sensor().view(frame)
        gray = torch.nn.functional.adaptive_avg_pool2d(frame.rgb.float().mean(-1)[None], (6, 8))[0] / 255
        self._carried = 0.7 * self._carried + gray.mean()
        tokens = torch.stack((gray, gray.sin(), self._carried * gray), dim=-1)
        attention = torch.stack([((k + 1) * gray + self._carried).cos().abs() for k in range(STATES)])
        return (replace(view, tokens=tokens, state_attention=attention),)

    def finish(self) -> tuple[()]:
        return ()

    def reset(self) -> None:
        self._carried = torch.zeros(())

    def state(self) -> dict[str, torch.Tensor]:
        return {"carried": self._carried}

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        self._carried = state["carried"]
