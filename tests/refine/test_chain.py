"""Refiners made of refiners."""

from __future__ import annotations

import pytest

from seg3r.refine.chain import Chain, Every
from seg3r.scene import SceneMap


class Note:
    """Adds its name to a list."""

    def __init__(self, name: str, heard: list[str], returns: SceneMap | None = None) -> None:
        self.name, self.heard, self.returns = name, heard, returns

    def __call__(self, scene: SceneMap) -> SceneMap:
        self.heard.append(self.name)
        return scene if self.returns is None else self.returns


def test_one_after_the_other_each_on_what_came_before() -> None:
    heard: list[str] = []
    first, second = SceneMap(), SceneMap()
    assert Chain((Note("a", heard, second), Note("b", heard)))(first) is second
    assert heard == ["a", "b"]
    assert Chain(())(first) is first


@pytest.mark.parametrize("n", [1, 3, 20])
def test_every_nth_frame(n: int) -> None:
    heard: list[str] = []
    scene, every = SceneMap(), Every(n, Note("x", heard))
    called = []
    for scene.frames in range(1, 61):
        before = len(heard)
        assert every(scene) is scene
        called += [scene.frames] * (len(heard) - before)
    assert called == list(range(n, 61, n))
