"""Both answerers point at the points of what they name."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from seg3r.answer.mllm import MllmAnswerer
from seg3r.answer.nearest import NearestAnswerer
from seg3r.protocols import Answerer
from seg3r.scene import SceneMap
from seg3r.types import Prompt, Reply
from tests.maps import table_map
from tests.seen import ColorEncoder


class YesTo:
    """A model to which the things at these places of the list fit."""

    name = "yes"

    def __init__(self, *places: int) -> None:
        self.places = places

    def __call__(self, prompts: Sequence[Prompt]) -> list[Reply]:
        return [Reply(f'{{"fits": {str(i in self.places).lower()}}}', 0.9) for i in range(len(prompts))]


def named(scene: SceneMap) -> SceneMap:
    for i, name in zip(scene.ids.tolist(), ("cup", "cup", "lamp", "table"), strict=True):
        scene.name_votes[i] = {name: 1.0}
    return scene


@pytest.mark.parametrize("answerer", [NearestAnswerer(ColorEncoder(), named=1.0), MllmAnswerer(YesTo(0, 1))])
def test_the_mask_is_the_union_of_what_is_named(answerer: Answerer) -> None:
    scene = named(table_map())
    answer = answerer(scene, "the cup")
    assert sorted(answer.instance_ids) == scene.ids.tolist()[:2]
    assert answer.mask is not None and torch.equal(answer.mask, scene.mask_of(answer.instance_ids))
    assert 0 < int(answer.mask.sum()) < scene.point_count


def test_silence_points_at_nothing() -> None:
    scene = table_map()
    answer = MllmAnswerer(YesTo())(scene, "a unicorn")
    assert answer.instance_ids == () and answer.mask is not None and not answer.mask.any()
