"""Two halves that most views see as one thing become one; two things do not."""

from __future__ import annotations

import pytest
import torch

from seg3r.reconstruct.sensor import Sensor
from seg3r.refine.consensus import Consensus
from seg3r.scene import SceneMap
from seg3r.types import Masks, Matches
from tests.loops import assert_sound, masks_of, segments_of
from tests.worlds import table_scene, walk

WALKED = walk(table_scene(), 24, (90, 120))
TABLE = 2
"""Truth id of the table top; the boxes on it are 3, 4, 5."""


def seen(whole_every: int) -> SceneMap:
    """The table's halves as two instances; in every n-th frame one mask shows it whole (and is given to the left)."""
    scene = SceneMap()
    half_ids: dict[int, int] = {}
    for t, (frame, ids) in enumerate(WALKED):
        view = Sensor().view(frame)
        table = masks_of(torch.where(ids == TABLE, ids, torch.zeros_like(ids))).masks
        if len(table) == 0:
            continue
        left = view.points[..., 0] < 0
        if half_ids and t % whole_every == 0:
            masks, given = table, [half_ids[0]]
        else:
            masks, given = torch.cat([table & left, table & ~left]), [half_ids.get(0, -1), half_ids.get(1, -1)]
        segments = segments_of(view, Masks(masks, torch.ones(len(masks))))
        if len(segments) != len(given):
            continue
        # Segments come out in raster order, which need not be left before right.
        if len(given) == 2:
            first = segments.points[segments.segment_ids == 0][:, 0].mean() < 0
            given = given if first else given[::-1]
        ids_out = scene.add(view, segments, Matches(torch.tensor(given), torch.ones(len(given))))
        if not half_ids:
            half_ids = {0: int(ids_out[0 if first else 1]), 1: int(ids_out[1 if first else 0])}
    return scene


def test_halves_that_most_views_show_as_one_become_one() -> None:
    scene = seen(whole_every=1)
    assert len(scene) == 2
    union = torch.unique(torch.cat([scene.points_of(int(i))[0] for i in scene.ids]))
    merged = Consensus(least=0.5)(scene)
    assert len(merged) == 1
    assert torch.equal(merged.points_of(int(merged.ids[0]))[0], union)
    assert_sound(merged)


def test_halves_that_most_views_tell_apart_stay_apart() -> None:
    assert len(Consensus(least=0.5)(seen(whole_every=1000))) == 2


def test_too_few_observers_say_nothing() -> None:
    assert len(Consensus(least=0.5, observers=100)(seen(whole_every=1))) == 2


@pytest.mark.parametrize("least", [0.3, 0.5])
def test_things_with_masks_of_their_own_stay_apart(least: float) -> None:
    scene, known = SceneMap(), {}
    for frame, ids in WALKED:
        view = Sensor().view(frame)
        present = [i for i in ids.unique().tolist() if i]
        masks = torch.stack([ids == i for i in present])
        segments = segments_of(view, Masks(masks, torch.ones(len(present)), names=tuple(map(str, present))))
        assert segments.names is not None
        given = [known.get(name, -1) for name in segments.names]
        out = scene.add(view, segments, Matches(torch.tensor(given), torch.ones(len(given))))
        known.update(zip(segments.names, out.tolist(), strict=True))
    before = scene.ids.tolist()
    assert Consensus(least=least)(scene).ids.tolist() == before
