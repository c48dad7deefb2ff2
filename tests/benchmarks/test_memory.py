"""A long video costs the bundled CUT3R no more memory than a short one. `benchmarks/memory.py` says it of 500 frames;
here are 100."""

from __future__ import annotations

import memory


def test_what_is_carried_does_not_grow() -> None:
    told = memory.measured(100, 32, "solver")
    assert [each.frame for each in told] == [50, 100]
    assert {"carried.state", "carried.memory", "seen.points", "focals"} <= told[0].carried.keys()
    assert told[0].tensors > 100 and told[0].process_mb > 50, "the network itself is seen"
    assert memory.growth(told) == []


def test_growth_would_be_told() -> None:
    """Views kept, a state that grows, memory taken."""
    stage, frames = memory.Cut3rReconstructor, memory.RoomsSource(11, frames=3, size=(48, 64), depth="clean")
    kept = []

    class Hoarder(stage):  # type: ignore[misc, valid-type]
        def __call__(self, frame):  # type: ignore[no-untyped-def]
            kept.append(super().__call__(frame))
            return kept[-1]

    hoarder = Hoarder(memory.bundled_cut3r(), side=32, view_side=64, pose="head")
    first, second, third = memory.looks(hoarder, frames, 1)
    grown = memory.growth([first, second])
    assert len(grown) == 2 and "carries" in grown[0] and "views are alive" in grown[1]  # focal lengths are still few
    assert third.views == first.views + 2 and third.tensors > first.tensors
    more = memory.Look(9, first.carried, first.carried_bytes, first.tensors, first.views, first.process_mb + 9)
    assert memory.growth([first, more]) == [f"frame 9: {more.process_mb:.1f} MB, were {first.process_mb:.1f}"]
