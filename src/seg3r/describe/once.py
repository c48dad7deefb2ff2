"""What costs something and is asked of the same finished map again and again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from seg3r.scene import SceneMap

T = TypeVar("T")


class Once(Generic[T]):
    """A function of a map that is computed once for the map it was last asked of."""

    def __init__(self, function: Callable[[SceneMap], T]) -> None:
        self._function = function
        self._last: tuple[SceneMap, int, T] | None = None

    def __call__(self, scene: SceneMap) -> T:
        """A map that changed since is another map."""
        if self._last is None or self._last[0] is not scene or self._last[1] != scene.revision:
            self._last = (scene, scene.revision, self._function(scene))
        return self._last[2]
