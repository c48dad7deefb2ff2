"""Rendered walks on disk."""

from __future__ import annotations

from pathlib import Path

import torch

from seg3r.sources.rooms import RoomsSource
from seg3r.train.data.walks import Walks, render_walks


def test_a_part_of_a_walk_is_what_the_room_shows(tmp_path: Path) -> None:
    walks = render_walks([5, 6], tmp_path, frames=4, size=(36, 48))
    source = RoomsSource(6, frames=4, size=(36, 48), depth="clean")
    clip = walks.clip(1, [2, 0])
    for n, index in enumerate((2, 0)):
        frame = source.frame(index)
        assert frame.depth is not None
        assert torch.equal(clip.rgb[n], frame.rgb) and torch.equal(clip.depth[n], frame.depth.half())
        assert torch.equal(clip.ids[n].long(), source.truth(index)[0].long())
        assert torch.equal(clip.poses[n], source.cameras[index].T_world_cam)
    assert torch.equal(clip.K, source.cameras[0].K)


def test_walks_that_are_there_are_not_rendered_again(tmp_path: Path) -> None:
    render_walks([5], tmp_path, frames=2, size=(36, 48))
    before = (tmp_path / "5.safetensors").stat().st_mtime_ns
    told: list[tuple[int, int]] = []
    walks = render_walks([5, 7], tmp_path, frames=2, size=(36, 48), progress=lambda d, n: told.append((d, n)))
    assert (tmp_path / "5.safetensors").stat().st_mtime_ns == before
    assert told == [(1, 2), (2, 2)] and walks.seeds == (5, 7) and isinstance(walks, Walks)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["5.safetensors", "7.safetensors"]
