"""The tensors of the released checkpoints, under our names."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from seg3r.errors import InputError
from seg3r.models.cut3r.model import Cut3r

NAMES = (
    (r"^patch_embed\.proj\.", "embed.proj."),
    (r"^enc_blocks\.", "encoder."),
    (r"^enc_norm\.", "encoder_norm."),
    (r"^decoder_embed\.", "to_decoder."),
    (r"^dec_blocks\.", "decoder."),
    (r"^dec_norm\.", "decoder_norm."),
    (r"^decoder_embed_state\.", "to_state."),
    (r"^dec_blocks_state\.", "state_decoder."),
    (r"^dec_norm_state\.", "state_norm."),
    (r"^register_tokens\.weight$", "states"),
    (r"^pose_token$", "first_pose"),
    (r"^pose_retriever\.proj_q\.", "pose_memory.look."),
    (r"^pose_retriever\.masked_token$", "pose_memory.unknown"),
    (r"^pose_retriever\.mem$", "pose_memory.initial"),
    (r"^pose_retriever\.", "pose_memory."),
    (r"^downstream_head\.dpt_self\.", "self_head.dense."),
    (r"^downstream_head\.dpt_cross\.", "world_head.dense."),
    (r"^downstream_head\.final_transform\.", "to_world."),
    (r"^downstream_head\.pose_head\.", "pose_head."),
    (r"\.cross_attn\.proj([qkv])\.", r".cross.\1."),
    (r"\.cross_attn\.", ".cross."),
    (r"\.(norm[12])\.mlp\.1\.", r".\1.by."),
    (r"\.act_postprocess\.", ".scale."),
    (r"\.scratch\.layer(\d)_rn\.", lambda m: f".level.{int(m[1]) - 1}."),
    (r"\.scratch\.refinenet(\d)\.", lambda m: f".fuse.{int(m[1]) - 1}."),
    (r"\.resConfUnit1\.", ".level."),
    (r"\.resConfUnit2\.", ".both."),
    (r"\.out_conv\.", ".out."),
    (r"\.dense\.head\.0\.", ".dense.narrow."),
    (r"\.dense\.head\.2\.", ".dense.mix."),
    (r"\.dense\.head\.4\.", ".dense.out."),
)
UNUSED = (
    r"^patch_embed_ray_map\.", r"^enc_blocks_ray_map\.", r"^enc_norm_ray_map\.", r"^masked_(img|ray_map)_token$",
    r"^downstream_head\.dpt_rgb\.", r"\.scratch\.layer_rn\.", r"\.scratch\.refinenet4\.resConfUnit1\.",
)
"""What images do not need: the branch of given ray maps, the masks of training, colours; what stands there twice; and a
unit with nothing to join."""


def from_released(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors that a `Cut3r` has, by its own names; `module.` before a key is dropped."""
    renamed = {}
    for key, value in weights.items():
        name = key.removeprefix("module.")
        if any(re.search(pattern, name) for pattern in UNUSED):
            continue
        for pattern, ours in NAMES:
            name = re.sub(pattern, ours, name)
        renamed[name] = value
    return renamed


def is_released(weights: Mapping[str, object]) -> bool:
    """Whether the names are the released ones."""
    return any(name.removeprefix("module.").startswith("dec_blocks_state.") for name in weights)


def load_weights(model: Cut3r, weights: Mapping[str, Tensor], origin: str) -> None:
    """Into a network of the same sizes.

    Args:
        weights: by our names or the released ones.
        origin: whence they come, for the error.

    Raises:
        InputError: tensors of another network, missing or left over.
    """
    given = from_released(weights) if is_released(weights) else dict(weights)
    wanted = {name: value.shape for name, value in model.state_dict().items()}
    for what, names in (
        ("lacks", [n for n in wanted if n not in given]), ("has unknown", [n for n in given if n not in wanted]),
        ("has of another shape", [n for n in wanted if n in given and given[n].shape != wanted[n]]),
    ):
        if names:
            raise InputError(
                f"{origin}: not the weights of this CUT3R; it {what} {len(names)} of {len(wanted)} tensors "
                f"(such as {names[0]})"
            )
    model.load_state_dict({name: value.float() for name, value in given.items()})
