"""The method's own switches; what its parts do is tested in their rooms."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import torch

from seg3r.methods.opentrack3d import opentrack3d
from seg3r.scene import SceneMap
from seg3r.types import Answer, Masks, View
from tests.worlds import table_scene, walk

WALK = walk(table_scene(), 8, (60, 80))
TRUTH = {frame.index: ids for frame, ids in WALK}


def perfect(view: View) -> Masks:
    ids = TRUTH[view.frame.index]
    masks = torch.stack([ids == i for i in ids.unique() if i > 0])
    return Masks(masks, torch.ones(len(masks)))


def mapped(**parts: object) -> SceneMap:
    mapper = opentrack3d(segment=perfect, **parts)  # type: ignore[arg-type]
    for frame, _ in WALK:
        mapper.step(frame)
    return mapper.refined()


WITHOUT_SUPERPOINTS = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name in ("seg3r.superpoints", "seg3r.kernels.superpoints", "seg3r.refine.snap"):
            raise AssertionError(f"{name} was imported")
sys.meta_path.insert(0, Refuse())
from pathlib import Path
from tests.methods.test_opentrack3d import mapped
mapped().save(Path(sys.argv[1]))
"""


def test_without_a_mesh_the_map_is_that_of_a_program_without_superpoints(tmp_path: Path) -> None:
    """Bit for bit, and the code is not so much as imported."""
    root = Path(__file__).parents[2]
    subprocess.run(
        [sys.executable, "-c", WITHOUT_SUPERPOINTS, str(tmp_path / "without.safetensors")], cwd=root, check=True
    )
    from seg3r.refine import snap  # here it is at hand
    from seg3r.superpoints import mesh_superpoints

    assert snap.Snap is not None
    assert mesh_superpoints is not None
    mapped().save(tmp_path / "with.safetensors")
    assert (tmp_path / "without.safetensors").read_bytes() == (tmp_path / "with.safetensors").read_bytes()


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
