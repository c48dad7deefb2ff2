"""The network against the reference's numbers, and what it promises for any weights."""

from __future__ import annotations

import json
import re
import zlib
from dataclasses import replace

import numpy as np
import pytest
import torch

from seg3r.errors import InputError
from seg3r.models.cut3r import Carried, Cut3r, Cut3rConfig, Prediction, from_released, load_weights
from seg3r.models.cut3r.blocks import CrossAttention
from seg3r.models.cut3r.names import UNUSED
from seg3r.models.rotary import grid, turns
from tests.models.cut3r.tiny import DATA, TINY, clip, moving, random_model, reference_model, reference_weights

NO = torch.tensor([False])


def walk(name: str, video: str = "landscape") -> list[tuple[Prediction, Carried]]:
    model, carried, said = reference_model(), reference_model().initial(), []
    with torch.no_grad():
        for t, image in enumerate(clip(video)):
            prediction, carried = model(
                image[None], carried, tap=range(4), update=~NO if (name, t) != ("noupdate2", 2) else NO,
                reset=~NO if (name, t) == ("reset3", 3) else NO,
            )
            said.append((prediction, carried))
    return said


@pytest.mark.parametrize("name", ["base", "portrait", "reset3", "noupdate2"])
def test_parity_with_the_reference(name: str) -> None:
    wanted = np.load(DATA / f"{name}_encfp32.npz")
    pixels = wanted["pixel_frames"].tolist()
    said = walk(name, "portrait" if name == "portrait" else "landscape")
    assert len(said) == len(wanted["camera_pose"])
    for t, (p, carried) in enumerate(said):
        assert p.attention is not None and p.world_points is not None and p.world_confidence is not None
        pairs = {
            "enc_tokens": p.seen, "state_candidate": p.proposed, "state": carried.state, "mem": carried.memory,
            "dec_tokens": torch.cat((p.pose_token[:, None], p.tokens), 1),
            "camera_pose": torch.cat((p.pose.translation, p.pose.quaternion), 1),
        }
        assert np.allclose(p.attention[0], wanted["state_cross_attn"][t].mean(0), atol=1e-5)
        for key, ours in pairs.items():
            assert np.allclose(ours[0].numpy(), wanted[key][t], atol=1e-4, rtol=1e-4), (key, t)
        if t in pixels:
            for key, ours in (
                ("pts3d_in_self_view", p.points), ("conf_self", p.confidence), ("pts3d_in_other_view", p.world_points),
                ("conf", p.world_confidence),
            ):
                assert np.allclose(ours[0].numpy(), wanted[key][pixels.index(t)], atol=1e-4, rtol=1e-4), (key, t)


def test_the_release_itself_rounds_its_encoder_and_stays_near() -> None:
    wanted, said = np.load(DATA / "base.npz"), walk("base")
    for n, t in enumerate(wanted["pixel_frames"].tolist()):
        p = said[t][0]
        assert np.allclose(p.points[0].numpy(), wanted["pts3d_in_self_view"][n], atol=1e-2)
        assert np.allclose(p.world_points[0].numpy(), wanted["pts3d_in_other_view"][n], atol=1e-2)  # type: ignore[index]
        assert np.allclose(p.pose.translation[0].numpy(), wanted["camera_pose"][t, :3], atol=1e-2)


def recipe(key: str, shape: tuple[int, ...]) -> torch.Tensor:
    """Random weights that follow from their name (see the fixture's README)."""
    x = np.random.RandomState(zlib.crc32(key.encode())).standard_normal(shape)
    if key.endswith(".bias"):
        x = 0.1 * x
    elif len(shape) == 1:
        x = 1 + 0.2 * x
    else:
        fan = shape[0] if key.endswith(("act_postprocess.0.1.weight", "act_postprocess.1.1.weight")) else shape[1:]
        gain = 0.8 if ".refinenet" in key else 0.25 if ".head.4." in key else 1.0
        x = gain * x / np.sqrt(np.prod(fan))
    return torch.from_numpy(x.astype(np.float16).astype(np.float32))


def test_parity_of_dense_heads_of_the_released_widths() -> None:
    released = Cut3rConfig()
    config = replace(TINY, pyramid=released.pyramid, features=released.features, last=released.last)
    narrow = dict(reference_weights())
    ours = {name: value.shape for name, value in Cut3r(config).state_dict().items()}
    by_name = {next(iter(from_released({key: value}))): key for key, value in narrow.items()
               if from_released({key: value})}
    weights = {}
    for name, shape in ours.items():
        key = by_name[name]
        fits = narrow[key].shape == shape
        weights[key] = narrow[key] if fits else recipe(key, tuple(shape))
    model = Cut3r(config).eval()
    load_weights(model, weights, "recipe")
    wanted, carried = np.load(DATA / "dptfull.npz"), model.initial()
    with torch.no_grad():
        for t, image in enumerate(clip("dptfull")):
            p, carried = model(image[None], carried)
            assert p.world_points is not None
            assert np.allclose(p.points[0].numpy(), wanted["pts3d_in_self_view"][t], atol=1e-4, rtol=1e-4)
            assert np.allclose(p.world_points[0].numpy(), wanted["pts3d_in_other_view"][t], atol=1e-4, rtol=1e-4)
            assert np.allclose(p.confidence[0].numpy(), wanted["conf_self"][t], atol=1e-4, rtol=1e-4)


def test_every_key_of_the_release_has_its_place() -> None:
    shapes: dict[str, list[int]] = json.loads((DATA / "full_keys.json").read_text())
    assert len(shapes) == 1248
    given = {f"module.{key}": torch.empty(shape, device="meta") for key, shape in shapes.items()}
    with torch.device("meta"):
        model = Cut3r(Cut3rConfig())
    renamed = from_released(given)
    assert {name: value.shape for name, value in renamed.items()} == {
        name: value.shape for name, value in model.state_dict().items()
    }
    assert len(shapes) - len(renamed) == sum(any(re.search(p, key) for p in UNUSED) for key in shapes) == 114
    # 793,307,858 in the release, less ray maps, colours, masked tokens and the idle unit of two heads.
    assert sum(p.numel() for p in model.parameters()) == 743_975_567


@pytest.mark.parametrize("size", [(288, 512), (64, 96)])
def test_shapes_where_counts_of_states_patches_and_widths_differ(size: tuple[int, int]) -> None:
    model = random_model()
    h, w = size[0] // 16, size[1] // 16
    with torch.no_grad():
        p, carried = model(moving(1, size), model.initial(), tap=(1, 3))
    assert p.points.shape == (1, *size, 3) and p.confidence.shape == (1, *size)
    assert p.tokens.shape == (1, h * w, 48) and p.attention is not None
    assert p.attention.shape == (1, 30, 1 + h * w)
    assert carried.state.shape == (1, 30, 48) and carried.memory.shape == (1, 8, 96)
    assert float(p.confidence.min()) > 1 and bool((p.pose.quaternion[:, 0] >= 0).all())


def test_attention_of_a_state_sums_to_one_with_the_pose_key() -> None:
    model = random_model()
    with torch.no_grad():
        p, _ = model(moving(1, (48, 80)), model.initial(), tap=(0, 2))
    assert p.attention is not None
    assert torch.allclose(p.attention.sum(-1), torch.ones(1, 30), atol=1e-5)
    assert float(p.attention[..., 1:].sum(-1).max()) < 1


def test_spelt_out_attention_is_the_fused_one() -> None:
    torch.manual_seed(1)
    block = CrossAttention(48, 6)
    x, y = torch.randn(2, 30, 48), torch.randn(2, 25, 48)
    at, y_at = turns(grid(5, 6).expand(2, -1, -1), 8), turns(grid(5, 5).expand(2, -1, -1) - 1, 8)
    spelt = block(x, y, at, y_at)
    with torch.no_grad():
        fused = block(x, y, at, y_at)
        weights, _ = block.weights(x, y, at, y_at)
        values = block.v(y).view(2, 25, 6, 8).transpose(1, 2)
        rebuilt = block.proj((weights @ values).transpose(1, 2).flatten(2))
    assert torch.allclose(spelt, fused, atol=1e-5) and torch.allclose(rebuilt, fused, atol=1e-5)


def test_samples_of_a_batch_do_not_know_of_each_other() -> None:
    model, video = random_model(), moving(6, (32, 48)).view(2, 3, 3, 32, 48)
    flags = [(torch.tensor([True, False]), torch.tensor([False, False])),
             (torch.tensor([True, True]), torch.tensor([False, True])),
             (torch.tensor([True, True]), torch.tensor([False, False]))]
    together = model.initial(2)
    alone = [model.initial(), model.initial()]
    with torch.no_grad():
        for t, (update, reset) in enumerate(flags):
            both, together = model(video[:, t], together, update=update, reset=reset)
            for b in range(2):
                one, alone[b] = model(
                    video[b : b + 1, t], alone[b], update=update[b : b + 1], reset=reset[b : b + 1]
                )
                assert torch.allclose(one.points[0], both.points[b], atol=1e-5)
                assert torch.allclose(alone[b].state[0], together.state[b], atol=1e-5)


def test_a_frame_that_does_not_update_leaves_no_trace() -> None:
    model, video = random_model(), moving(3, (32, 48))
    with torch.no_grad():
        _, carried = model(video[:1], model.initial())
        _, after = model(video[1:2], carried, update=NO)
    assert torch.equal(after.state, carried.state) and torch.equal(after.memory, carried.memory)


def test_a_reset_brings_back_the_beginning_but_not_the_first_pose_token() -> None:
    model, video = random_model(), moving(2, (32, 48))
    with torch.no_grad():
        _, carried = model(video[:1], model.initial(), reset=~NO)
        first = model.initial()
        assert torch.equal(carried.state, first.state) and torch.equal(carried.memory, first.memory)
        one, _ = model(video[1:], carried)
        two, _ = model(video[1:], first)
    assert not torch.allclose(one.pose.translation, two.pose.translation)


def test_the_gate_moves_each_state_part_of_the_way() -> None:
    model, video = random_model(), moving(2, (32, 48))
    with torch.no_grad():
        _, start = model(video[:1], model.initial())
        p, whole = model(video[1:], start)
        _, gated = model(video[1:], start, gate=True)
    moved = (gated.state - start.state) / (p.proposed - start.state)
    share = moved.median(-1).values[0]
    assert torch.allclose(whole.state, p.proposed) and bool(((share > 0) & (share < 1)).all())
    assert float(share.std()) > 0


def test_memory_does_not_grow_with_the_video() -> None:
    model, carried = random_model(), random_model().initial()
    with torch.no_grad():
        for image in moving(20, (32, 48)):
            _, carried = model(image[None], carried)
    assert carried.state.shape == (1, 30, 48) and carried.memory.shape == (1, 8, 96)
    assert bool(torch.isfinite(carried.state).all())


@pytest.mark.parametrize("changes", [{"stem": (8, 16)}, {"patch": 8}, {"world": False, "focal": 0.8}])
def test_small_networks_of_other_shapes(changes: dict[str, object]) -> None:
    model = random_model(**changes)
    with torch.no_grad():
        p, _ = model(moving(1, (48, 64)), model.initial())
    assert p.points.shape == (1, 48, 64, 3)
    assert (p.world_points is None) == (changes.get("world") is False)


def test_along_rays_a_depth_stands_where_its_pixel_looks() -> None:
    model = random_model(focal=0.8, world=False)
    with torch.no_grad():
        for p in model.self_head.dense.out.parameters():
            p.zero_()
        said, _ = model(moving(1, (32, 64)), model.initial())
    assert torch.allclose(said.points[..., 2], torch.ones(1, 32, 64))
    column = torch.arange(64.0)
    assert torch.allclose(said.points[0, 5, :, 0], (column - 31.5) / (0.8 * 64), atol=1e-6)


@pytest.mark.parametrize(("change", "said"), [
    (lambda w: w.pop("pose_token"), "lacks 1 of"),
    (lambda w: w.update({"dec_blocks.9.norm1.weight": torch.ones(48)}), "unknown 1 of"),
    (lambda w: w.update({"enc_norm.weight": torch.ones(7)}), "another shape 1 of"),
])
def test_weights_of_another_network_are_refused_in_one_line(change: object, said: str) -> None:
    weights = dict(reference_weights())
    change(weights)  # type: ignore[operator]
    with pytest.raises(InputError, match=said) as caught:
        load_weights(Cut3r(TINY), weights, "file.safetensors")
    assert str(caught.value).startswith("file.safetensors") and "\n" not in str(caught.value)


def test_our_own_names_load_as_they_are() -> None:
    model = random_model(3)
    other = random_model(4)
    load_weights(other, model.state_dict(), "own")
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))
