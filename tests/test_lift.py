"""Where a pixel becomes a point, and which pixels do not."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from seg3r.errors import InputError
from seg3r.lift import Lift
from seg3r.reconstruct.sensor import Sensor
from seg3r.types import Camera, Frame, Masks, Segments, View
from tests.loops import masks_of
from tests.worlds import table_scene, walk

H, W = 60, 80
RAW = Lift(denoise=False, min_pixels=1)
BARE = Lift(erode_px=0.0, edge_jump=1e9, mads=1e9, neighbours=0, share=0.0, eps_m=1e9, min_pixels=1)
"""Every gate wide open; a test closes one."""


def view_of(depth: torch.Tensor, f: float = 72) -> View:
    h, w = depth.shape
    K = torch.tensor([[f, 0, (w - 1) / 2], [0, f, (h - 1) / 2], [0, 0, 1]], dtype=torch.float64)
    rgb = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (h, w, 3)).astype(np.uint8))
    return Sensor().view(Frame(5, 0.0, rgb, depth, Camera(K, torch.eye(4, dtype=torch.float64), (h, w))))


def block(r0: int, c0: int, r1: int, c1: int, size: tuple[int, int] = (H, W)) -> torch.Tensor:
    mask = torch.zeros(size, dtype=torch.bool)
    mask[r0:r1, c0:c1] = True
    return mask


def masks(*each: torch.Tensor) -> Masks:
    m = len(each)
    stack = torch.stack(each) if m else torch.zeros(0, H, W, dtype=torch.bool)
    return Masks(
        stack, torch.linspace(0.5, 1, m), torch.eye(max(m, 1))[:m], torch.eye(max(m, 1))[:m].flip(0),
        tuple(f"n{i}" for i in range(m)),
    )


def covered(segments: Segments, s: int, size: tuple[int, int] = (H, W)) -> torch.Tensor:
    mask = torch.zeros(size, dtype=torch.bool)
    rows, columns = segments.pixels[segments.segment_ids == s].T
    mask[rows, columns] = True
    return mask


WALL = view_of(torch.full((H, W), 2.0))


def assert_same(a: Segments, b: Segments) -> None:
    for field in dataclasses.fields(Segments):
        one, other = getattr(a, field.name), getattr(b, field.name)
        assert torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other, field.name


def test_every_pixel_of_a_mask_becomes_its_point() -> None:
    rng = np.random.default_rng(1)
    view = view_of(torch.from_numpy(rng.uniform(0.5, 4, (H, W)).astype(np.float32)))
    mask = torch.from_numpy(rng.random((H, W)) < 0.3)
    segments = RAW(view, masks(mask))
    assert torch.equal(covered(segments, 0), mask)
    rows, columns = segments.pixels.T
    assert torch.equal(segments.points, view.points[rows, columns])
    assert torch.equal(segments.colors, view.frame.rgb[rows, columns])
    assert segments.areas.tolist() == [int(mask.sum())]
    assert (segments.frame_index, segments.stride) == (5, 1)


@pytest.mark.parametrize("lift", [RAW, Lift()], ids=["raw", "denoised"])
def test_the_order_of_the_masks_changes_nothing(lift: Lift) -> None:
    """Overlapping ones, ones that begin at the same pixel, and doubles of another score too."""
    frame, ids = walk(table_scene(), 1, (H, W))[0]
    view = Sensor().view(frame)
    own = masks_of(ids).masks
    several = masks(*own, own[0], own[0] | own[1], block(10, 10, 50, 30), block(10, 10, 30, 50), block(10, 10, 30, 50))
    expected = lift(view, several)
    assert len(expected) >= 6
    for seed in range(6):
        order = torch.from_numpy(np.random.default_rng(seed).permutation(len(several)))
        assert_same(expected, lift(view, several[order]))


def test_segments_carry_what_their_masks_carried() -> None:
    two = masks(block(30, 10, 50, 30), block(5, 10, 25, 30), block(0, 0, 0, 0))
    segments = RAW(WALL, two)
    assert segments.names == ("n1", "n0"), "raster order of the first pixel; the empty one is gone"
    assert two.features is not None and two.identity is not None
    assert segments.features is not None and torch.equal(segments.features, two.features[[1, 0]])
    assert segments.identity is not None and torch.equal(segments.identity, two.identity[[1, 0]])
    assert torch.equal(segments.scores, two.scores[[1, 0]])
    assert bool((segments.segment_ids.diff() >= 0).all())


def test_overlapping_masks_share_pixels() -> None:
    segments = RAW(WALL, masks(block(0, 0, 20, 20), block(10, 10, 30, 30)))
    assert len(segments.points) == 800
    assert int((covered(segments, 0) & covered(segments, 1)).sum()) == 100


@pytest.mark.parametrize("lift", [RAW, Lift()], ids=["raw", "denoised"])
def test_no_masks_or_empty_ones_give_no_segments(lift: Lift) -> None:
    for none in (masks(), masks(block(0, 0, 0, 0), block(3, 3, 3, 9))):
        segments = lift(WALL, none)
        assert len(segments) == 0
        assert segments.points.shape == (0, 3)
        assert segments.pixels.shape == (0, 2)
        assert segments.features is not None and len(segments.features) == 0
    blind = lift(view_of(torch.zeros(H, W)), masks(block(0, 0, 50, 50)))
    assert len(blind) == 0
    bare = lift(WALL, Masks(torch.zeros(0, H, W, dtype=torch.bool), torch.zeros(0)))
    assert (bare.features, bare.identity, bare.names) == (None, None, None)


def test_too_few_pixels_are_no_segment() -> None:
    fifty, less = block(10, 10, 15, 20), block(30, 10, 37, 17)
    for mask, count in ((fifty, 1), (less, 0)):
        assert len(Lift(denoise=False, min_pixels=50)(WALL, masks(mask))) == count


def test_erosion_takes_two_pixels_at_640_columns() -> None:
    view = view_of(torch.full((48, 640), 2.0), 600)
    segments = dataclasses.replace(BARE, erode_px=2.0)(view, masks(block(10, 101, 40, 200, (48, 640))))
    assert segments.stride == 2
    expected = torch.zeros(48, 640, dtype=torch.bool)
    expected[12:38:2, 104:198:2] = True  # of rows 12..37 and columns 103..197, those on the lattice
    assert torch.equal(covered(segments, 0, (48, 640)), expected)
    assert segments.areas.tolist() == [15 * 49 * 4], "the area is of the mask as it came, from the lattice"
    small = dataclasses.replace(BARE, erode_px=8.0)(WALL, masks(block(10, 10, 40, 40)))
    assert torch.equal(covered(small, 0), block(11, 11, 39, 39)), "8 at 640 columns is 1 at 80"
    border = dataclasses.replace(BARE, erode_px=8.0)(WALL, masks(block(0, 0, 40, 40)))
    assert torch.equal(covered(border, 0), block(0, 0, 39, 39)), "the border of the image is not one of the thing"


def test_range_and_confidence() -> None:
    depth = torch.full((H, W), 2.0)
    depth[:, :10], depth[:, 10:20], depth[:, 20:30], depth[:, 30:40] = 0.0, 0.05, 5.5, 5.0
    view = view_of(depth)
    view = dataclasses.replace(view, confidence=torch.where(torch.arange(W) < 70, view.confidence, 0.0))
    for lift in (BARE, RAW):
        assert torch.equal(covered(lift(view, masks(block(0, 0, H, W))), 0), block(0, 30, H, 70))


def test_depth_edges_are_dropped_on_both_sides() -> None:
    depth = torch.full((H, W), 2.0)
    depth[:, 40:], depth[:, 60:] = 2.2, 2.25
    depth[30, 10] = 0  # a hole is no edge
    whole = masks(block(0, 0, H, W))
    segments = dataclasses.replace(BARE, edge_jump=0.05)(view_of(depth), whole)
    expected = block(0, 0, H, 39) | block(0, 41, H, W)  # 10 % at 40, 2.3 % at 60
    expected[30, 10] = False
    assert torch.equal(covered(segments, 0), expected)


def test_flying_pixels_do_not_fly() -> None:
    """Depth mixed between a thing and the wall behind it: a ramp of pixels in the air."""
    depth = torch.full((H, W), 3.0)
    depth[15:45, 20:60] = 1.5
    truth = block(15, 20, 45, 60)
    for i, share in enumerate((0.7, 0.4)):
        depth[15:45, 60 + i] = 1.5 * share + 3.0 * (1 - share)
    seen = block(15, 20, 45, 64)  # the mask spills over its border
    raw, clean = RAW(view_of(depth), masks(seen)), Lift()(view_of(depth), masks(seen))
    assert float(raw.points[:, 2].max()) == 3.0
    assert bool((clean.points[:, 2] == 1.5).all())
    assert not bool((covered(clean, 0) & ~truth).any())
    assert int(covered(clean, 0).sum()) > 0.8 * int(truth.sum())


def test_far_from_the_median_is_out() -> None:
    """Nine tenths within +-2 cm: 3 MADs are less than the floor of 10 cm, which then decides."""
    rng = np.random.default_rng(0)
    depth = torch.from_numpy((2 + rng.uniform(-0.02, 0.02, (H, W))).astype(np.float32))
    odd = torch.from_numpy(rng.random((H, W)) < 0.1)
    for off, kept in ((0.09, True), (0.12, False)):
        shifted = torch.where(odd, 2 + off, depth)
        segments = dataclasses.replace(BARE, mads=3.0, least_m=0.10)(view_of(shifted), masks(block(0, 0, H, W)))
        assert torch.equal(covered(segments, 0), block(0, 0, H, W) if kept else ~odd)


def test_a_long_thing_is_not_cut_by_the_gate() -> None:
    """A floor from 1 to 3 m: its MAD is half a metre, so three of them keep all of it."""
    depth = torch.linspace(1, 3, H)[:, None].expand(H, W).contiguous()
    segments = dataclasses.replace(BARE, mads=3.0)(view_of(depth), masks(block(0, 0, H, W)))
    assert torch.equal(covered(segments, 0), block(0, 0, H, W))


@pytest.mark.parametrize(("small", "kept"), [(9, True), (5, False)])
def test_clusters_of_a_fifth_of_the_largest_stay(small: int, kept: bool) -> None:
    large, other = block(10, 5, 30, 25), block(10, 50, 10 + small, 60)  # 400 and 90 or 50 pixels
    segments = dataclasses.replace(BARE, eps_m=0.05, neighbours=4, share=0.2)(WALL, masks(large | other))
    assert torch.equal(covered(segments, 0), large | other if kept else large)


def test_clusters_part_at_a_step_in_depth() -> None:
    """Side by side in the image, 20 cm apart in space. At 2 m three pixels are 8 cm: steps of 5 cm do not part."""
    depth = torch.full((H, W), 2.0)
    depth[:, 60:] = 2.2
    cut = dataclasses.replace(BARE, eps_m=0.05, neighbours=4, share=0.5)
    whole = masks(block(0, 0, H, W))
    assert torch.equal(covered(cut(view_of(depth), whole), 0), block(0, 0, H, 60))
    depth[:, 60:] = 2.05
    assert torch.equal(covered(cut(view_of(depth), whole), 0), block(0, 0, H, W))


def test_a_single_pixel_joins_no_two_clusters() -> None:
    """It borders on both, but has too few neighbours to be a core of either."""
    large, small = block(10, 5, 30, 25), block(15, 28, 20, 34)
    bridge = block(17, 26, 18, 27)
    strict = dataclasses.replace(BARE, eps_m=0.2, neighbours=12, share=0.2)
    kept = covered(strict(WALL, masks(large | bridge | small)), 0)
    assert torch.equal(kept & ~bridge, large)
    whole = covered(strict(WALL, masks(large | block(10, 25, 30, 28) | small)), 0)
    assert bool(whole[16, 30]), "a bridge of full width does join them"


def test_lone_pixels_are_no_cluster() -> None:
    lone = torch.zeros(H, W, dtype=torch.bool)
    lone[::6, ::6] = True
    strict = dataclasses.replace(BARE, eps_m=0.05, neighbours=4)
    assert len(strict(WALL, masks(lone))) == 0
    segments = strict(WALL, masks(lone | block(20, 20, 40, 40)))
    assert int((covered(segments, 0) & ~block(18, 18, 42, 42)).sum()) == 0


def test_without_denoise_all_that_is_masked_and_measured_stays() -> None:
    rng = np.random.default_rng(2)
    depth = torch.from_numpy(rng.uniform(0.2, 4.9, (H, W)).astype(np.float32))
    depth[torch.from_numpy(rng.random((H, W)) < 0.2)] = 0
    mask = torch.from_numpy(rng.random((H, W)) < 0.4)
    view = view_of(depth)
    assert torch.equal(covered(Lift(denoise=False)(view, masks(mask)), 0), mask & (depth > 0))
    assert len(Lift()(view, masks(mask))) == 0, "nothing of it is a surface"


@pytest.mark.parametrize(("width", "stride"), [(80, 1), (639, 1), (640, 2), (641, 2), (1000, 3)])
def test_the_lattice_has_at_most_some_320_columns(width: int, stride: int) -> None:
    view = view_of(torch.full((13, width), 2.0), width)
    segments = RAW(view, masks(block(0, 0, 13, width, (13, width))))
    assert segments.stride == stride
    expected = torch.zeros(13, width, dtype=torch.bool)
    expected[::stride, ::stride] = True
    assert torch.equal(covered(segments, 0, (13, width)), expected)


def test_a_mask_of_another_size_is_refused() -> None:
    odd = Masks(torch.zeros(1, H, W + 1, dtype=torch.bool), torch.ones(1))
    with pytest.raises(InputError, match=r"frame 5: masks of \[60, 81\] and depth of \[60, 80\] for a camera of \[60"):
        Lift()(WALL, odd)
    other = dataclasses.replace(WALL, camera=WALL.camera.scaled((30, 40)))
    with pytest.raises(InputError, match="all must be of one size"):
        Lift()(other, masks(block(0, 0, 5, 5)))
