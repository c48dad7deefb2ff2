"""The numbers of OpenTrack3D, apart from its parts: this file is light, and the command line makes flags of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from seg3r.choices import Pool
from seg3r.errors import check_choice
from seg3r.methods.numbers import check_numbers, without_parts


@dataclass(frozen=True)
class OpenTrack3DConfig:
    """Which numbers, and which parts are switched off."""

    voxel_m: float = 0.02
    """Edge of a voxel, metres: ConceptGraphs and OnlineAnySeg 0.025; 0.005 for SceneFun3D."""
    visible_m: float = 0.05
    """A point is visible within so many metres of the depth map: OpenYOLO3D 0.05 on ScanNet, OVIR-3D 0.04."""
    far_m: float = 5.0
    """Depth beyond so many metres is not used: OnlineAnySeg 0.1 to 5."""
    look: float = 0.4
    """Weight of the visual cue; OnlineAnySeg's ablation says that space dominates. 0 switches it off, gate and all."""
    overlap: bool = True
    """Whether overlap in space counts; without it only the look decides (ablation "w/o IoU")."""
    pool: Pool = "mask"
    """Descriptors over the mask, or (ablation "w/o mask-wise feature") over its box."""
    match: float = 0.35
    """tau_match: score from which a mask continues an instance; Details Matter 0.3, OVIR-3D 0.3 (IoU alone)."""
    denoise: bool = True
    """Whether edges, outliers and strewn clusters are taken off a mask's points when they are lifted."""
    consistency: float = 0.4
    """tau_ref: share of the views that must agree with a point's owner; Details Matter 0.4, MaskClustering 0.5. 0
    switches it off."""
    merge: float = 0.3
    """tau_merge: IoU of points from which two instances are one; Details Matter 0.3. 0 switches it off."""
    consensus: float = 0.5
    """Share of the views showing two instances in which one mask covers both, from which they are one (MaskClustering's
    view consensus; the paper names a merge, not its rule). 0 or `merge` 0 switches it off."""
    snap_add: float = 0.5
    """With a mesh: a superpoint of which so much is owned is owned wholly (docs/opentrack3d.md, 3.7)."""
    snap_drop: float = 0.2
    """With a mesh: a superpoint of which less is owned is not owned at all."""
    contained: float = 0.95
    """tau_incl: share of an instance inside another from which it goes; Details Matter 0.99, MaskClustering 0.8. More
    than 1 keeps parts of things."""
    least_observations: int = 2
    """Instances seen less often go: MaskClustering 2, ConceptGraphs 3."""
    maintain_every: int = 20
    """Frames between self-merges: ConceptGraphs 20."""

    def __post_init__(self) -> None:
        check_choice("pool", self.pool, ("mask", "box"))
        check_numbers(self)

    def without(self, *parts: str) -> OpenTrack3DConfig:
        """The same numbers with these parts of the method switched off, see `ABLATIONS`.

        Raises:
            InputError: no such part.
        """
        return without_parts(self, parts, ABLATIONS)


ABLATIONS: Mapping[str, Mapping[str, Any]] = {
    "look": {"look": 0.0}, "overlap": {"overlap": False}, "denoise": {"denoise": False},
    "consistency": {"consistency": 0.0}, "merge": {"merge": 0.0}, "mask-pooling": {"pool": "box"},
}
"""What can be switched off: the ablations of the paper's tables 5 and 6."""
