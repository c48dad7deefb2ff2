"""The method's own numbers; what its parts do is tested in their rooms."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from seg3r.associate.fused import Fused
from seg3r.embed.patches import PatchGrid
from seg3r.embed.refined_queries import RefinedQueries
from seg3r.errors import InputError
from seg3r.mapper import Mapper
from seg3r.methods.moonseg3r import MoonSeg3RConfig, moonseg3r
from seg3r.models.query_refiner import QueryRefiner, QueryRefinerConfig
from seg3r.reconstruct.joined import Joined
from seg3r.reconstruct.sensor import Sensor
from seg3r.types import Masks, View
from tests.loops import masks_of
from tests.reconstruct.remembering import Late, Tokens
from tests.worlds import table_scene, walk

WALK = walk(table_scene(), 12, (90, 120))
TRUTH = {frame.index: ids for frame, ids in WALK}
POOLED = MoonSeg3RConfig(refine=False, memory=False)
"""The rows of the paper's table 2 that need no training."""


def perfect(view: View) -> Masks:
    return masks_of(TRUTH[view.frame.index])


def mapper(config: MoonSeg3RConfig = POOLED, lag: int = 0, refiner: QueryRefiner | None = None) -> Mapper:
    return moonseg3r(Joined(Late(Sensor(), lag), Tokens()), PatchGrid(), refiner, config, perfect)


def boxes(mapper: Mapper) -> list[list[float]]:
    for _ in mapper.run(frame for frame, _ in WALK):
        pass
    return mapper.refined().boxes.tolist()


@pytest.mark.parametrize("config", [
    replace(POOLED, merge_within=2.0), replace(POOLED, merge_within=2.0, token=False),
    replace(POOLED, merge_within=2.0, use_3d=False), replace(POOLED, merge_within=2.0, use_2d=False),
])
def test_perfect_masks_and_geometry_give_the_things(config: MoonSeg3RConfig) -> None:
    found = mapper(config)
    boxes(found)
    world, result = table_scene(), found.refined()
    middles = (result.boxes[:, :3] + result.boxes[:, 3:]) / 2
    things = torch.from_numpy((world.low + world.high)[1:] / 2).float()
    nearest = torch.cdist(things, middles).min(1).values
    assert bool((nearest < 0.1).all()), "each thing has its instance"
    assert len(result) <= 6


def test_a_lagging_reconstructor_ends_in_the_same_map() -> None:
    assert boxes(mapper(lag=5)) == boxes(mapper())


def test_the_configs_numbers_arrive() -> None:
    with torch.random.fork_rng(devices=[]):
        refiner = QueryRefiner(QueryRefinerConfig(tokens=3, features=81, width=16, heads=2, ffn=16, psi=16, layers=1))
    whole = mapper(MoonSeg3RConfig(), refiner=refiner)
    embed, associate = whole.embed, whole.associate
    assert isinstance(embed, RefinedQueries) and isinstance(associate, Fused)
    assert embed.refiner is refiner and embed.memory is not None and embed.token == "state"
    assert (embed.merge, embed.merge_adjacent) == (0.8, True)
    assert (associate.look, associate.identity, associate.box, associate.overlap) == (1, 1, 1, 0)
    assert (associate.threshold, associate.identity_frames, associate.box_trim) == (1.8, 5, 0.02)
    without = mapper(MoonSeg3RConfig(memory=False, token=False), refiner=refiner)
    embed, associate = without.embed, without.associate
    assert isinstance(embed, RefinedQueries) and isinstance(associate, Fused)
    assert embed.memory is None and embed.token is None
    assert (associate.identity, associate.threshold) == (0, pytest.approx(1.2))
    assert isinstance(mapper(POOLED, refiner=refiner).embed, RefinedQueries)
    assert mapper(POOLED, refiner=refiner).embed.refiner is None  # type: ignore[attr-defined]


def test_one_camera_is_not_enough_for_the_sensor() -> None:
    colour_only = replace(WALK[0][0], depth=None, camera=None)
    with pytest.raises(InputError, match="frame 0 has no depth"):
        moonseg3r(Sensor(), PatchGrid(), None, POOLED).step(colour_only)
