"""The procedural world as a source."""

from __future__ import annotations

import pytest
import torch

from seg3r.errors import InputError
from seg3r.sources import Recording, open_source
from seg3r.sources.rooms import RoomsSource

SIZE = (60, 80)


def test_is_a_recording() -> None:
    source = RoomsSource(1, 6, SIZE)
    assert isinstance(source, Recording) and source.root is None and len(source) == 6
    frames = list(source)
    assert [f.index for f in frames] == list(range(6)) and [f.time_s for f in frames] == [k / 10 for k in range(6)]
    for frame, camera in zip(frames, source.cameras, strict=True):
        assert frame.rgb.shape == (*SIZE, 3) and frame.depth is not None and frame.depth.shape == SIZE
        assert frame.camera is camera
    told = source.describe()
    assert told["frames"] == 6 and told["color_size"] == SIZE


def test_a_frame_does_not_depend_on_the_order() -> None:
    forwards = list(RoomsSource(1, 4, SIZE, "noisy"))
    source = RoomsSource(1, 4, SIZE, "noisy")
    for index in (3, 0, 2):
        frame = source.frame(index)
        assert frame.depth is not None and forwards[index].depth is not None
        assert torch.equal(frame.rgb, forwards[index].rgb) and torch.equal(frame.depth, forwards[index].depth)


def test_stride_and_resume() -> None:
    every = RoomsSource(1, 7, SIZE, "clean", every=3)
    assert [f.index for f in every] == [0, 3, 6] and len(every) == 3 and every.position(6) == 2
    assert [f.index for f in every.iterate(every.position(3) + 1)] == [6]
    with pytest.raises(InputError, match="no frame 4"):
        every.position(4)
    assert torch.equal(every.frame(3).rgb, RoomsSource(1, 4, SIZE, "clean").frame(3).rgb)


def test_truth_without_iterating() -> None:
    source = RoomsSource(1, 30, SIZE)
    ids, names = source.truth(20)
    assert ids.dtype == torch.uint16 and ids.shape == SIZE
    assert set(ids.to(torch.int64).unique().tolist()) - {0} <= set(names)
    assert set(names.values()) <= {o.name for o in source.room.objects}
    with pytest.raises(InputError, match="no frame 30"):
        source.truth(30)


def test_noise_and_clean() -> None:
    clean, noisy = (RoomsSource(1, 1, SIZE, depth).frame(0).depth for depth in ("clean", "noisy"))
    assert clean is not None and noisy is not None and bool((clean > 0).all())
    known = noisy > 0
    assert 0.6 < float(known.float().mean()) < 1
    assert float((clean - noisy)[known].abs().median()) < 0.02


def test_blur_and_exposure_are_options() -> None:
    plain = RoomsSource(1, 3, SIZE, "clean").frame(1)
    blurred = RoomsSource(1, 3, SIZE, "clean", shutter=0.8).frame(1)
    drifting = RoomsSource(1, 3, SIZE, "clean", exposure_stops=1.0).frame(1)
    assert plain.depth is not None and blurred.depth is not None
    assert torch.equal(plain.depth, blurred.depth) and not torch.equal(plain.rgb, blurred.rgb)
    assert not torch.equal(plain.rgb, drifting.rgb)


def test_opened_by_name() -> None:
    assert open_source("rooms:1:clean", every=2).describe()["name"] == "rooms:1"
    for wrong in ("rooms:one", "rooms:1:dirty"):
        with pytest.raises(InputError, match="rooms:SEED"):
            open_source(wrong)
    with pytest.raises(InputError, match="depth is clean or noisy"):
        RoomsSource(1, depth="dirty")
    with pytest.raises(InputError, match="out of range"):
        RoomsSource(1, shutter=2.0)
