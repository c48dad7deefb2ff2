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
from seg3r.methods.moonseg3r import ABLATIONS, MoonSeg3RConfig, moonseg3r
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
    return moonseg3r(Joined(Late(Sensor(), lag), Tokens()), PatchGrid(), refiner, config, segment=perfect)


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
    assert (associate.visual, associate.identity, associate.box, associate.overlap) == (1, 1, 1, 0)
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


# ---- what can be switched off: the rows of the paper's table 2 -------------------------------------------------------

WHOLE = MoonSeg3RConfig()


def built(*parts: str) -> tuple[RefinedQueries, Fused]:
    """Embedder and associator without these parts."""
    with torch.random.fork_rng(devices=[]):
        refiner = QueryRefiner(QueryRefinerConfig(tokens=3, features=81, width=16, heads=2, ffn=16, psi=16, layers=1))
    made = mapper(WHOLE.without(*parts), refiner=refiner)
    assert isinstance(made.embed, RefinedQueries) and isinstance(made.associate, Fused)
    return made.embed, made.associate


def switches(embed: RefinedQueries) -> tuple[bool, bool, bool, bool, bool]:
    """2d, 3d, refinement, memory, token."""
    return embed.use_2d, embed.use_3d, embed.refiner is not None, embed.memory is not None, embed.token is not None


@pytest.mark.parametrize(("part", "on"), [
    ("2d", (False, True, True, True, True)), ("3d", (True, False, True, True, True)),
    ("refine", (True, True, False, False, True)),  # a memory keeps refined queries
    ("memory", (True, True, True, False, True)), ("token", (True, True, True, True, False)),
])
def test_each_part_is_switched_off_alone(part: str, on: tuple[bool, ...]) -> None:
    assert switches(built()[0]) == (True,) * 5
    embed, associate = built(part)
    assert switches(embed) == on
    whole = built()[1]
    if part == "token":  # of three sums the third is gone
        assert (associate.identity, associate.threshold) == (0.0, pytest.approx(whole.threshold * 2 / 3))
    else:
        assert associate == whole


def test_every_switch_is_tested_here() -> None:
    assert set(ABLATIONS) == {"2d", "3d", "refine", "memory", "token"}


def test_switches_add_up_in_any_order_and_leave_the_config() -> None:
    assert WHOLE.without("2d", "token") == WHOLE.without("token", "2d") == WHOLE.without("2d").without("token")
    assert WHOLE.without() == WHOLE == MoonSeg3RConfig()
    assert replace(WHOLE, match=2.1).without("token").match == 2.1, "other numbers stay"
    with pytest.raises(InputError, match="without: 'look' is none of 2d, 3d, refine, memory, token") as error:
        WHOLE.without("2d", "look")
    assert "\n" not in str(error.value)
