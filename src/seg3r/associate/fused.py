"""The weighted fusion of cues of both online papers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from seg3r.associate import cues
from seg3r.associate.match import hungarian
from seg3r.scene import SceneMap
from seg3r.types import Matches, Segments, View

Assignment = Callable[[Float32[Tensor, "m c"], Bool[Tensor, "m c"], float], Int64[Tensor, "m"]]


@dataclass(frozen=True)
class Fused:
    """Score = sum of weighted cues; gates; an assignment; fragments join afterwards.

    With the overlap gate only instances in view are candidates; without it all are: a descriptor, a box or an identity
    is there whether or not a point of the instance is seen.

    OpenTrack3D: `visual` 0.4, `overlap` 0.6, threshold 0.35. MoonSeg3R: `visual`, `identity`, `box` 1 each, threshold
    1.8, no gates. Where a cue is unknown for a pair (no reliable descriptor, no recent token) the others share its
    weight.
    """

    visual: float = 0.4
    overlap: float = 0.6
    identity: float = 0.0
    box: float = 0.0
    """Weights of the cues."""
    box_trim: float = 0.0
    """Share of the points that a box leaves out at either end of each axis (docs/moonseg3r.md, D19: 0.02)."""
    threshold: float = 0.35
    """Pairs of a lower score are no match."""
    identity_frames: int = 5
    """An identity token does not count for an instance last seen more than so many views ago (docs/moonseg3r.md,
    D21)."""
    visual_floor: float = 0.3
    """Cosines inside one room start here: the cue is rescaled to 0..1 above it."""
    least_visual: float | None = 0.45
    """Gate: a lower cosine is no match, where both sides have a reliable descriptor; None: no gate."""
    least_contained: float | None = 0.1
    """Gate: a pair must share points, and this much of the smaller; None: no gate."""
    fragment: float | None = 0.8
    """A leftover segment so far contained in an instance joins it, matched or not; None: none does."""
    least_evidence: int = 20
    """Shared points below which containment is not believed."""
    assign: Assignment = hungarian

    def __call__(self, view: View, segments: Segments, scene: SceneMap) -> Matches:
        m = len(segments)
        none = Matches(torch.full((m,), -1, dtype=torch.int64), torch.zeros(m))
        if m == 0 or len(scene) == 0:
            return none
        covered = scene.overlap(view, segments)
        if self.least_contained is None:
            covered = covered.widened(scene.ids)
        if len(covered.ids) == 0:
            return none
        iou, contained = cues.overlap(
            covered.shared, covered.segment_sizes, covered.instance_sizes, self.least_evidence
        )
        near = None
        if self.least_contained is not None:
            near = (contained >= self.least_contained) & (covered.shared > 0)
        cosine, reliable = cues.visual_similarity(segments, scene, covered.ids, near)
        similarity = ((cosine - self.visual_floor) / (1 - self.visual_floor)).clamp(0, 1)
        weight = torch.where(reliable, torch.tensor(self.visual), torch.tensor(0.0))
        score = self.overlap * torch.maximum(iou, 0.5 * contained)
        if self.box:
            score = score + self.box * cues.box_overlap(segments, scene, covered.ids, self.box_trim)
        known = torch.full_like(weight, self.overlap + self.box)
        if self.identity:
            step = segments.frame_index - scene.last_frame  # between views: they may be every tenth frame
            oldest = segments.frame_index - self.identity_frames * step
            tokens, fresh = cues.identity(segments, scene, covered.ids, oldest)
            score = score + self.identity * torch.where(fresh, tokens, torch.tensor(0.0))
            known = known + self.identity * fresh
        score, known = score + weight * similarity, known + weight
        whole = self.visual + self.overlap + self.identity + self.box
        score = score * whole / known.clamp_min(1e-6)  # where nothing is known the score is 0

        allowed = torch.ones_like(reliable) if near is None else near
        if self.least_visual is not None:
            allowed = allowed & (~reliable | (cosine >= self.least_visual))
        pairs = self.assign(score, allowed, self.threshold)

        if self.fragment is not None:
            # An over-segmented thing gives several segments: what lies inside a known instance is part of it.
            inside = torch.where(allowed, contained, torch.zeros(()))
            best, column = inside.max(dim=1)
            segment_share = covered.shared.gather(1, column[:, None])[:, 0] / covered.segment_sizes.clamp_min(1)
            joins = (pairs < 0) & (best >= self.fragment) & (segment_share >= self.fragment)
            pairs = torch.where(joins, column, pairs)

        ids = torch.where(pairs >= 0, covered.ids[pairs.clamp_min(0)], torch.tensor(-1))
        scores = torch.where(pairs >= 0, score.gather(1, pairs.clamp_min(0)[:, None])[:, 0], torch.tensor(0.0))
        return Matches(ids, scores)
