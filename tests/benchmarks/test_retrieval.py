"""Whether recalls are right, counted on a short walk."""

from __future__ import annotations

import retrieval
from seg3r.presets import Bundled, reconstructor


def test_with_the_true_geometry_most_recalls_are_right() -> None:
    counted = retrieval.walk(1, 4, reconstructor("sensor", Bundled()))
    assert counted.again > 0 and counted.recalls >= counted.named
    assert counted.right / counted.recalls > 0.6
    assert counted.named / counted.again > 0.6
