"""Geometry from one reconstructor, tokens and state attention from another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from jaxtyping import Float32, Float64
from torch import Tensor

from seg3r.protocols import HasOrigin, Lags, Reconstructor, Remembers, Reports
from seg3r.types import Event, Frame, View


class Held(NamedTuple):
    """What waits for the geometry of its frame."""

    tokens: Float32[Tensor, "h w c"] | None
    state_attention: Float32[Tensor, "s h w"] | None
    window: tuple[int, int, int, int] | None
    size: tuple[int, int]
    """(H, W) of the image that the window lies in."""


class Joined:
    """Puts true (or odometry's) geometry into a method that also wants a recurrent network's memory. Frames meet by
    their index."""

    def __init__(self, geometry: Reconstructor, tokens: Reconstructor, patience: int = 600) -> None:
        """
        Args:
            geometry: may give views late, or none for a frame.
            tokens: gives each frame's view at once, of the same image.
            patience: so many frames are held; tokens of an older one are let go, and its view comes without them.
        """
        self.geometry, self.tokens, self.patience = geometry, tokens, patience
        self.reset()

    def __call__(self, frame: Frame) -> Sequence[View]:
        """Those whose geometry became known."""
        for view in self.tokens(frame):
            self._held[view.frame.index] = Held(view.tokens, view.state_attention, view.window, view.camera.size)
        while len(self._held) > self.patience:
            del self._held[next(iter(self._held))]
        return [self._joined(view) for view in self.geometry(frame)]

    def finish(self) -> Sequence[View]:
        """What the geometry still owes."""
        return [self._joined(view) for view in self.geometry.finish()]

    @property
    def origin(self) -> Float64[Tensor, "3"] | None:
        """The geometry's, if it has one."""
        return self.geometry.origin if isinstance(self.geometry, HasOrigin) else None

    @property
    def waiting(self) -> int:
        """Frames whose geometry may still come."""
        return self.geometry.waiting if isinstance(self.geometry, Lags) else 0

    @property
    def events(self) -> Sequence[Event]:
        """Those of the geometry."""
        return self.geometry.events if isinstance(self.geometry, Reports) else ()

    def reset(self) -> None:
        """Forget everything, both."""
        self.geometry.reset()
        self.tokens.reset()
        self._held: dict[int, Held] = {}

    def _joined(self, view: View) -> View:
        held = self._held.pop(view.frame.index, None)
        for index in [i for i in self._held if i < view.frame.index]:
            del self._held[index]  # views come in the order of their frames: this one's never will
        if held is None:
            return view
        window = held.window
        if window is not None:
            y, x = (view.camera.size[a] / held.size[a] for a in range(2))
            window = (round(window[0] * y), round(window[1] * x), round(window[2] * y), round(window[3] * x))
        return replace(view, tokens=held.tokens, state_attention=held.state_attention, window=window)

    def state(self) -> dict[str, Tensor]:
        """What waits, and what either part remembers, as far as it can put it down."""
        state = {
            f"{name}.{key}": value
            for name, part in self._parts() if isinstance(part, Remembers) for key, value in part.state().items()
        }
        for index, held in self._held.items():
            given = {"tokens": held.tokens, "attention": held.state_attention, "size": torch.tensor(held.size),
                     "window": None if held.window is None else torch.tensor(held.window)}
            state |= {f"held.{index}.{name}": value for name, value in given.items() if value is not None}
        return state

    def restore(self, state: dict[str, Tensor]) -> None:
        """Raises InputError for the state of something else."""
        self.reset()
        for name, part in self._parts():
            if isinstance(part, Remembers):
                part.restore(_under(f"{name}.", state))
        waiting = _under("held.", state)
        for index in sorted({int(key.split(".")[0]) for key in waiting}):
            one = _under(f"{index}.", waiting)
            size, window = one["size"].tolist(), one["window"].tolist() if "window" in one else None
            self._held[index] = Held(
                one.get("tokens"), one.get("attention"), None if window is None else tuple(window), tuple(size)
            )

    def _parts(self) -> tuple[tuple[str, Reconstructor], ...]:
        return ("geometry", self.geometry), ("tokens", self.tokens)


def _under(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
