"""Geometry of one reconstructor with the tokens of another: who meets whom, and what is put down and taken up."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from seg3r.protocols import Lags, Reconstructor, Remembers
from seg3r.reconstruct.joined import Joined
from seg3r.reconstruct.sensor import Sensor
from seg3r.types import Frame, View
from tests.reconstruct.remembering import Late, Tokens
from tests.worlds import table_scene, walk

FRAMES = [frame for frame, _ in walk(table_scene(), 9, (60, 80))]


def all_views(reconstruct: Reconstructor, frames: list[Frame] = FRAMES) -> list[View]:
    return [view for frame in frames for view in reconstruct(frame)] + list(reconstruct.finish())


def assert_same(a: View, b: View) -> None:
    assert a.frame.index == b.frame.index
    assert a.window == b.window
    for name in ("depth", "points", "confidence", "tokens", "state_attention"):
        assert torch.equal(getattr(a, name), getattr(b, name)), name


def test_it_fits_its_sockets() -> None:
    assert isinstance(Joined(Sensor(), Tokens()), Reconstructor)
    assert isinstance(Joined(Sensor(), Tokens()), Remembers)


@pytest.mark.parametrize("lag", [0, 1, 4, 20])
def test_each_view_has_its_own_geometry_and_its_own_tokens(lag: int) -> None:
    said = all_views(Joined(Late(Sensor(), lag), Tokens()))
    geometry, tokens = all_views(Sensor()), all_views(Tokens())
    assert [v.frame.index for v in said] == [f.index for f in FRAMES]
    for view, true, other in zip(said, geometry, tokens, strict=True):
        assert view.camera == true.camera
        assert torch.equal(view.depth, true.depth)
        assert torch.equal(view.tokens, other.tokens)
        assert torch.equal(view.state_attention, other.state_attention)


class Every2nd(Sensor):
    """Loses every second frame."""

    def __call__(self, frame: Frame) -> tuple[View, ...]:
        return super().__call__(frame) if frame.index % 2 else ()


def test_what_has_no_geometry_is_let_go() -> None:
    joined = Joined(Every2nd(), Tokens())
    assert [v.frame.index for v in all_views(joined)] == [1, 3, 5, 7]
    assert list(joined._held) == [8], "what is older than a view that came will have none"


def test_waiting_is_bounded() -> None:
    joined = Joined(Late(Sensor(), 100), Tokens(), patience=3)
    said = all_views(joined)
    assert len(said) == len(FRAMES)
    assert [v.tokens is not None for v in said] == [False] * 6 + [True] * 3


def test_the_window_is_scaled_to_the_geometry() -> None:
    class Cropped(Tokens):
        def __call__(self, frame: Frame) -> tuple[View, ...]:
            return tuple(replace(v, window=(6, 8, 54, 72)) for v in super().__call__(frame))

    class Half(Sensor):
        def __call__(self, frame: Frame) -> tuple[View]:
            assert frame.camera is not None and frame.depth is not None
            camera = replace(frame.camera, size=(30, 40))
            return super().__call__(replace(frame, rgb=frame.rgb[::2, ::2], depth=frame.depth[::2, ::2].contiguous(),
                                            camera=camera))

    assert all_views(Joined(Half(), Cropped()))[0].window == (3, 4, 27, 36)


@pytest.mark.parametrize("cut", [1, 4, 8])
def test_put_down_and_taken_up_it_goes_on_as_if_nothing_had_been(cut: int) -> None:
    whole = all_views(Joined(Late(Sensor(), 3), Tokens()))
    first = Joined(Late(Sensor(), 3), Tokens())
    said = [view for frame in FRAMES[:cut] for view in first(frame)]
    kept = {name: value.clone() for name, value in first.state().items()}
    second = Joined(Late(Sensor(), 3), Tokens())
    list(second(FRAMES[7]))  # what it remembers now does not matter
    second.restore(kept)
    said += all_views(second, FRAMES[cut:])
    for a, b in zip(whole, said, strict=True):
        assert_same(a, b)


def test_reset_forgets_both() -> None:
    joined = Joined(Late(Sensor(), 2), Tokens())
    first = all_views(joined)
    joined(FRAMES[3])
    joined.reset()
    for a, b in zip(first, all_views(joined), strict=True):
        assert_same(a, b)


def test_it_waits_as_its_geometry_does() -> None:
    """Else a map without its last frames would pass for whole."""
    joined = Joined(Late(Sensor(), 2), Tokens())
    assert isinstance(joined, Lags) and joined.waiting == 0
    for frame in FRAMES[:5]:
        joined(frame)
    assert joined.waiting == 2
    joined.finish()
    assert joined.waiting == 0 == Joined(Sensor(), Tokens()).waiting
