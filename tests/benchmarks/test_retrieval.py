"""Whether recalls are right, counted on a short walk."""

from __future__ import annotations

from seg3r.api.geometry import reconstructor

from tests.benchmarks.loading import benchmark

retrieval = benchmark("retrieval")


def test_with_the_true_geometry_most_recalls_are_right() -> None:
    counted = retrieval.walk(1, 4, reconstructor("sensor"))
    assert counted.again > 0 and counted.recalls >= counted.named
    assert counted.right / counted.recalls > 0.6
    assert counted.named / counted.again > 0.6
