"""CUT3R (Wang et al., CVPR 2025, arXiv 2501.12387): one frame in, its points and pose out, with a state carried along.

Written from the paper and a numeric description, without the reference code. One frame at a time: the whole-sequence
form is the same computation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from seg3r.models.cut3r.blocks import EPSILON, DecoderBlock, EncoderBlock, ModulatedBlock, PoseMemory
from seg3r.models.cut3r.heads import DensePrediction, PointHead, Pose, PoseHead
from seg3r.models.rotary import Turns, grid, turns


@dataclass(frozen=True)
class Cut3rConfig:
    """Sizes; the defaults are those of the released `cut3r_512_dpt_4_64`."""

    patch: int = 16
    stem: tuple[int, ...] = ()
    """Widths of 3x3 convolutions of stride 2 before the patches (each halves what a patch still has to cover); none in
    the release. They spare a small network the learning of edges."""
    encoder_width: int = 1024
    encoder_depth: int = 24
    encoder_heads: int = 16
    decoder_width: int = 768
    decoder_depth: int = 12
    decoder_heads: int = 12
    state_heads: int = 16
    states: int = 768
    slots: int = 256
    """Of the pose memory."""
    memory_depth: int = 2
    pyramid: tuple[int, int, int, int] = (96, 192, 384, 768)
    features: int = 256
    last: int = 128
    """Widths of the dense heads."""
    focal: float | None = None
    """See `PointHead`; None in the release."""
    world: bool = True
    """Whether there is a head for points in the world of the first frame. Points of a frame moved by its pose, which
    agree with the pose exactly, need none."""


class Carried(NamedTuple):
    """What goes from frame to frame."""

    state: Float[Tensor, "b s d"]
    memory: Float[Tensor, "b l m"]
    fresh: Bool[Tensor, "b"]
    """Nothing was seen yet: the pose token is the learnt one. Not so after a reset."""


class Prediction(NamedTuple):
    """Of one frame."""

    points: Float[Tensor, "b H W 3"]
    """In its own camera."""
    confidence: Float[Tensor, "b H W"]
    """More than 1."""
    pose: Pose
    """Camera to the world of the first frame."""
    world_points: Float[Tensor, "b H W 3"] | None
    world_confidence: Float[Tensor, "b H W"] | None
    seen: Float[Tensor, "b n e"]
    """Tokens of the encoder."""
    tokens: Float[Tensor, "b n d"]
    """Tokens of the decoder, row by row."""
    attention: Float[Tensor, "b s n1"] | None
    """How much each state attended to the pose token and to each patch: mean over heads and the layers asked for; each
    row sums to one."""
    proposed: Float[Tensor, "b s d"]
    """The state as this frame would have it, before any rule of update."""
    pose_token: Float[Tensor, "b d"]
    """As it came out of the decoder."""


class Cut3r(nn.Module):
    """The network."""

    def __init__(self, config: Cut3rConfig) -> None:
        super().__init__()
        self.config = c = config
        self.embed = _Patches(c.patch, c.stem, c.encoder_width)
        self.encoder = nn.ModuleList(EncoderBlock(c.encoder_width, c.encoder_heads) for _ in range(c.encoder_depth))
        self.encoder_norm = nn.LayerNorm(c.encoder_width, EPSILON)
        self.to_decoder = nn.Linear(c.encoder_width, c.decoder_width)
        self.decoder = nn.ModuleList(DecoderBlock(c.decoder_width, c.decoder_heads) for _ in range(c.decoder_depth))
        self.decoder_norm = nn.LayerNorm(c.decoder_width, EPSILON)
        self.states = nn.Parameter(torch.randn(c.states, c.encoder_width))
        self.to_state = nn.Linear(c.encoder_width, c.decoder_width)
        self.state_decoder = nn.ModuleList(
            DecoderBlock(c.decoder_width, c.state_heads) for _ in range(c.decoder_depth)
        )
        self.state_norm = nn.LayerNorm(c.decoder_width, EPSILON)
        self.first_pose = nn.Parameter(0.02 * torch.randn(1, 1, c.decoder_width))
        self.pose_memory = PoseMemory(c.encoder_width, c.decoder_width, c.decoder_heads, c.slots, c.memory_depth)
        self.self_head, self.pose_head = PointHead(self._dense(), c.focal), PoseHead(c.decoder_width)
        if c.world:
            self.to_world = nn.ModuleList(ModulatedBlock(c.decoder_width, c.decoder_heads) for _ in range(2))
            self.world_head = PointHead(self._dense())

    def _dense(self) -> DensePrediction:
        c = self.config
        widths = (c.encoder_width, c.decoder_width, c.decoder_width, c.decoder_width)
        return DensePrediction(widths, c.pyramid, c.features, c.last, c.patch)

    def initial(self, batch: int = 1) -> Carried:
        """Before the first frame."""
        fresh = torch.ones(batch, dtype=torch.bool, device=self.states.device)
        return Carried(*self._beginning(batch), fresh)

    def _beginning(self, batch: int) -> tuple[Tensor, Tensor]:
        state = self.to_state(self.states)[None].expand(batch, -1, -1)
        return state, self.pose_memory.initial.expand(batch, -1, -1)

    def forward(
        self,
        image: Float[Tensor, "b 3 H W"],
        carried: Carried,
        tap: Sequence[int] = (),
        update: Bool[Tensor, "b"] | None = None,
        reset: Bool[Tensor, "b"] | None = None,
        gate: bool = False,
    ) -> tuple[Prediction, Carried]:
        """One frame.

        Args:
            image: in -1..1; H and W multiples of the patch.
            carried: from the frame before, or `initial`.
            tap: layers of the state decoder whose attention is wanted.
            update: whether the frame changes state and memory; None: it does.
            reset: whether both go back to their beginnings after the frame; goes before `update`.
            gate: each state moves by the sigmoid of its mean attention logit over all layers, heads and keys: what
                helps long videos without training (TTT3R, arXiv 2509.26645).
        """
        c, (H, W) = self.config, image.shape[2:]
        h, w = H // c.patch, W // c.patch
        batch = len(image)
        cells = grid(h, w, image.device).expand(batch, -1, -1)
        seen = self.encode(image)
        summary = seen.mean(1, keepdim=True)
        pose = torch.where(
            carried.fresh[:, None, None], self.first_pose, self.pose_memory.read(summary, carried.memory)
        )
        at_pose = torch.full((batch, 1, 2), -1, device=image.device)
        where = torch.cat((at_pose, cells), dim=1)
        x, state = torch.cat((pose.to(seen.dtype), self.to_decoder(seen)), dim=1), carried.state
        side = math.isqrt(c.states)
        side += side % 2
        places = torch.arange(c.states, device=image.device)
        state_at = torch.stack((places // side, places % side), dim=1).expand(batch, -1, -1)
        head, state_head = c.decoder_width // c.decoder_heads, c.decoder_width // c.state_heads
        at, y_at = turns(where, head), turns(state_at, head)
        s_at, s_y_at = turns(state_at, state_head), turns(where, state_head)

        outputs, maps, logits = [], [], []
        for layer, (block, state_block) in enumerate(zip(self.decoder, self.state_decoder, strict=True)):
            (x, _), (state, tapped) = (
                block(x, state, at, y_at), state_block(state, x, s_at, s_y_at, tap=gate or layer in tap)
            )
            outputs.append(x[:, 1:])
            if tapped is not None:
                logits.append(tapped.logits)
                maps += [tapped.weights] if layer in tap else []
        x, proposed = self.decoder_norm(x), self.state_norm(state)
        pose_token, tokens = x[:, 0], x[:, 1:]

        half, most = c.decoder_depth // 2, c.decoder_depth * 3 // 4
        depths = (seen, outputs[half - 1], outputs[most - 1], tokens)
        points, confidence = self.self_head(depths, (h, w))
        at_cells = turns(cells, head)
        world, world_confidence = self._world(depths, pose_token, (h, w), at_cells) if c.world else (None, None)
        prediction = Prediction(
            points, confidence, self.pose_head(pose_token), world, world_confidence, seen, tokens,
            torch.stack(maps).mean(0) if maps else None, proposed, pose_token,
        )
        written = self.pose_memory.write(summary, pose_token[:, None], carried.memory)
        share = torch.stack(logits).mean(0).sigmoid() if gate else None
        return prediction, self._carry(carried, proposed, written, share, update, reset)

    def encode(self, image: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b n e"]:
        """Tokens of an image, row by row; nothing carried."""
        c, (H, W) = self.config, image.shape[2:]
        cells = grid(H // c.patch, W // c.patch, image.device).expand(len(image), -1, -1)
        at = turns(cells, c.encoder_width // c.encoder_heads)
        x = self.embed(image)
        for block in self.encoder:
            x = block(x, at)
        return self.encoder_norm(x)  # type: ignore[no-any-return]

    def _world(
        self, depths: tuple[Tensor, Tensor, Tensor, Tensor], pose_token: Tensor, size: tuple[int, int], at: Turns
    ) -> tuple[Tensor, Tensor]:
        moved = depths[3]
        for block in self.to_world:
            moved = block(moved, pose_token, at)
        return self.world_head((*depths[:3], moved), size)  # type: ignore[no-any-return]

    def _carry(
        self, old: Carried, state: Tensor, memory: Tensor, share: Tensor | None, update: Tensor | None,
        reset: Tensor | None,
    ) -> Carried:
        if share is not None:
            state = torch.lerp(old.state, state, share[:, :, None])
        if update is not None:
            state = torch.where(update[:, None, None], state, old.state)
            memory = torch.where(update[:, None, None], memory, old.memory)
        if reset is not None:
            first_state, first_memory = self._beginning(len(state))
            state = torch.where(reset[:, None, None], first_state, state)
            memory = torch.where(reset[:, None, None], first_memory, memory)
        return Carried(state, memory, torch.zeros_like(old.fresh))


class _Patches(nn.Module):
    """Image -> tokens, row by row."""

    def __init__(self, patch: int, stem: tuple[int, ...], width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        have = 3
        for n in stem:
            layers += [nn.Conv2d(have, n, 3, 2, padding=1), nn.GELU()]
            have, patch = n, patch // 2
        self.stem, self.proj = nn.Sequential(*layers), nn.Conv2d(have, width, patch, patch)

    def forward(self, image: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b n e"]:
        return self.proj(self.stem(image)).flatten(2).transpose(1, 2)  # type: ignore[no-any-return]
