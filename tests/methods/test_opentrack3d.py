"""The method's own switches; what its parts do is tested in their rooms."""

from __future__ import annotations

import itertools
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from seg3r.associate.fused import Fused
from seg3r.embed.patches import Patches
from seg3r.errors import InputError
from seg3r.lift import Lift
from seg3r.methods.opentrack3d import ABLATIONS, OpenTrack3DConfig, opentrack3d
from seg3r.scene import SceneMap
from seg3r.types import Answer
from tests.conftest import REPOSITORY
from tests.methods.tracked import WALK, mapped, perfect

WITHOUT_SUPERPOINTS = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name in ("seg3r.superpoints", "seg3r.kernels.superpoints", "seg3r.refine.snap"):
            raise AssertionError(f"{name} was imported")
sys.meta_path.insert(0, Refuse())
from pathlib import Path
import torch
from tests.methods.tracked import mapped
parts = {"superpoints": (torch.zeros(1, 3), torch.zeros(1, dtype=torch.int64))} if sys.argv[2:] else {}
mapped(**parts).save(Path(sys.argv[1]))
"""


def without_superpoints(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_SUPERPOINTS, *words], cwd=REPOSITORY, check=False, capture_output=True, text=True
    )


def test_without_a_mesh_the_map_is_that_of_a_program_without_superpoints(tmp_path: Path) -> None:
    """Bit for bit, and the code is not so much as imported."""
    done = without_superpoints(str(tmp_path / "without.safetensors"))
    assert done.returncode == 0, done.stderr
    mapped().save(tmp_path / "with.safetensors")
    assert (tmp_path / "without.safetensors").read_bytes() == (tmp_path / "with.safetensors").read_bytes()
    with_a_mesh = without_superpoints(str(tmp_path / "never.safetensors"), "with superpoints")
    assert with_a_mesh.returncode and "seg3r.refine.snap was imported" in with_a_mesh.stderr, "that would be seen"


# ---- what can be switched off ----------------------------------------------------------------------------------------


def parts_of(config: OpenTrack3DConfig) -> dict[str, Any]:
    """Every number of the stages that a config makes, by stage and name."""
    made = opentrack3d(config)
    refiners = {f"refine.{n}": stage for n, stage in enumerate(made.refine.refiners)}  # type: ignore[attr-defined]
    upkeep = made.maintain.refiner.refiners  # type: ignore[attr-defined]
    stages = {"embed": made.embed, "lift": made.lift, "associate": made.associate, **refiners,
              **{f"maintain.{n}": stage for n, stage in enumerate(upkeep)}}
    return {
        **{f"{place}: {type(stage).__name__}": True for place, stage in stages.items()},
        **{f"{place}.{name}": value for place, stage in stages.items() for name, value in asdict(stage).items()},
    }


def kinds(config: OpenTrack3DConfig, socket: str = "refine") -> list[str]:
    """Names of the parts in a chain."""
    made = opentrack3d(config)
    chain = made.refine if socket == "refine" else made.maintain.refiner  # type: ignore[attr-defined]
    return [type(each).__name__ for each in chain.refiners]  # type: ignore[attr-defined]


WHOLE = OpenTrack3DConfig()


def changed(*parts: str) -> dict[str, Any]:
    """What is other than in the whole method."""
    whole, less = parts_of(WHOLE), parts_of(WHOLE.without(*parts))
    return {name: less.get(name) for name in {*whole, *less} if whole.get(name) != less.get(name)}


def test_the_whole_method_has_its_parts() -> None:
    assert kinds(WHOLE) == ["Consensus", "Consistency", "Merge", "Consistency", "Prune", "Suppress"]
    assert kinds(WHOLE, "maintain") == ["Merge", "Unconfirmed"]
    made = opentrack3d()
    assert isinstance(made.associate, Fused) and isinstance(made.embed, Patches) and isinstance(made.lift, Lift)
    assert (made.associate.visual, made.associate.overlap, made.associate.threshold) == (0.4, 0.6, 0.35)
    assert (made.embed.pool, made.lift.denoise) == ("mask", True)


def test_without_the_look_only_space_decides() -> None:
    assert changed("look") == {
        "associate.visual": 0.0, "associate.overlap": 1.0, "associate.least_visual": None,
        "refine.2.least_visual": None, "maintain.0.least_visual": None,
    }


def test_without_overlap_only_the_look_decides() -> None:
    assert changed("overlap") == {
        "associate.visual": 1.0, "associate.overlap": 0.0, "associate.least_contained": None,
        "associate.fragment": None,
    }


def test_without_denoising_all_masked_depth_becomes_points() -> None:
    assert changed("denoise") == {"lift.denoise": False}


def test_without_consistency_nothing_leaves_an_instance() -> None:
    assert kinds(WHOLE.without("consistency")) == ["Consensus", "Merge", "Prune", "Suppress"]
    assert kinds(WHOLE.without("consistency"), "maintain") == kinds(WHOLE, "maintain")


def test_without_merging_nothing_joins_by_any_rule() -> None:
    assert kinds(WHOLE.without("merge")) == ["Consistency", "Prune", "Suppress"]
    assert kinds(WHOLE.without("merge"), "maintain") == ["Unconfirmed"]


def test_without_masks_descriptors_are_of_boxes() -> None:
    assert changed("mask-pooling") == {"embed.pool": "box"}


def test_every_switch_is_tested_here() -> None:
    """A new one needs a test of what it does."""
    assert set(ABLATIONS) == {"look", "overlap", "denoise", "consistency", "merge", "mask-pooling"}


def test_switches_add_up_in_any_order_and_leave_the_config() -> None:
    for one, other in itertools.combinations(ABLATIONS, 2):
        assert WHOLE.without(one, other) == WHOLE.without(other).without(one) == WHOLE.without(other, one)
        assert WHOLE.without(one) != WHOLE.without(one, other)
    assert WHOLE.without() == WHOLE == OpenTrack3DConfig()
    own = OpenTrack3DConfig(match=0.5).without("look")
    assert (own.match, own.look) == (0.5, 0.0), "other numbers stay"


@pytest.mark.parametrize("words", [("nothing",), ("look", "loook"), ("",)])
def test_a_part_that_is_none_is_named(words: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match="look, overlap, denoise, consistency, merge, mask-pooling") as error:
        WHOLE.without(*words)
    assert f"without: {words[-1]!r} is none of" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("part", ABLATIONS)
def test_without_any_part_the_table_is_still_mapped(part: str) -> None:
    assert 1 <= len(mapped(config=WHOLE.without(part))) <= 8


# ---- what can be put in ----------------------------------------------------------------------------------------------


def test_with_superpoints_instances_follow_them() -> None:
    plain = mapped()
    largest = int(plain.ids[plain.sizes.argmax()])
    own = plain.points_of(largest)[0]
    x = plain.points[own, 0]
    rest = torch.ones(plain.point_count, dtype=torch.int64)  # what lies beside it, with a tenth of it
    rest[own[x <= x.quantile(0.9)]] = 0
    bound = mapped(superpoints=(plain.points, rest))
    assert torch.equal(bound.points_of(largest)[0], own[x <= x.quantile(0.9)])
    everywhere = (plain.points, torch.zeros(plain.point_count, dtype=torch.int64))
    same = mapped(superpoints=everywhere)
    assert [plain.points_of(i)[0].tolist() for i in plain.ids.tolist()] == [
        same.points_of(i)[0].tolist() for i in same.ids.tolist()
    ], "one superpoint over all tells nothing from anything, and dissolves nothing"
    each = (plain.points, torch.arange(plain.point_count))
    same = mapped(superpoints=each)
    assert [plain.points_of(i)[0].tolist() for i in plain.ids.tolist()] == [
        same.points_of(i)[0].tolist() for i in same.ids.tolist()
    ], "a superpoint of one point binds nothing"


def test_a_mapper_answers_through_its_answerer() -> None:
    def largest(scene: SceneMap, question: str) -> Answer:
        best = int(scene.ids[int(scene.sizes.argmax())])
        return Answer(question, (best,), (1.0,))

    mapper = opentrack3d(segment=perfect, answer=largest)
    for frame, _ in WALK:
        mapper.step(frame)
    answer = mapper.ask("the largest thing")
    assert answer.question == "the largest thing"
    assert answer.instance_ids[0] in mapper.refined().ids.tolist()
