"""OpenTrack3D (arXiv 2512.03532): a visual-spatial tracker over posed RGB-D; no mesh, no training.

The paper discloses its stages, not their equations: every number below is our decision, with where it comes from.
"Details Matter", OVIR-3D, ConceptGraphs, OnlineAnySeg and MaskClustering are its published neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from jaxtyping import Float32, Int64
from torch import Tensor

from seg3r.associate.fused import Fused
from seg3r.embed.patches import Patches
from seg3r.errors import check_choice
from seg3r.lift import Lift
from seg3r.mapper import Mapper
from seg3r.protocols import Answerer, Embedder, Refiner, Segmenter
from seg3r.reconstruct.sensor import Sensor
from seg3r.refine.chain import Chain, Every
from seg3r.refine.consensus import Consensus
from seg3r.refine.consistency import Consistency
from seg3r.refine.merge import Merge
from seg3r.refine.prune import Prune, Suppress, Unconfirmed
from seg3r.scene import SceneMap
from seg3r.segment.geometric import GeometricSegmenter


@dataclass(frozen=True)
class OpenTrack3DConfig:
    """Which numbers, and which parts are switched off."""

    voxel_m: float = 0.02
    """ConceptGraphs and OnlineAnySeg 0.025; 0.005 for SceneFun3D."""
    visible_m: float = 0.05
    """A point is visible within this of the depth map: OpenYOLO3D 0.05 on ScanNet, OVIR-3D 0.04."""
    far_m: float = 5.0
    """OnlineAnySeg: 0.1 to 5 m."""
    look: float = 0.4
    """Weight of the visual cue; OnlineAnySeg's ablation says that space dominates. 0 switches it off, gate and all."""
    overlap: bool = True
    """False: only the look decides (ablation "w/o IoU")."""
    pool: Literal["mask", "box"] = "mask"
    """Descriptors over the mask, or (ablation "w/o mask-wise feature") over its box."""
    match: float = 0.35
    """tau_match: Details Matter 0.3, OVIR-3D 0.3 (IoU alone)."""
    denoise: bool = True
    consistency: float = 0.4
    """tau_ref: Details Matter 0.4, MaskClustering 0.5. 0 switches it off."""
    merge: float = 0.3
    """tau_merge: Details Matter 0.3. 0 switches it off."""
    consensus: float = 0.5
    """Share of the views showing two instances in which one mask covers both, from which they are one (MaskClustering's
    view consensus; the paper names a merge, not its rule). 0 or `merge` 0 switches it off."""
    snap_add: float = 0.5
    """With a mesh: a superpoint of which so much is owned is owned wholly (specification, 3.7) ..."""
    snap_drop: float = 0.2
    """... and one of which less is owned, not at all."""
    contained: float = 0.95
    """tau_incl: Details Matter 0.99, MaskClustering 0.8. More than 1 keeps parts of things."""
    least_observations: int = 2
    """MaskClustering 2, ConceptGraphs 3."""
    maintain_every: int = 20
    """Frames between self-merges: ConceptGraphs 20."""

    def without(self, *parts: str) -> OpenTrack3DConfig:
        """The same numbers with these parts of the method switched off, see `ABLATIONS`.

        Raises:
            InputError: no such part.
        """
        config = self
        for part in parts:
            check_choice("without", part, ABLATIONS)
            config = replace(config, **ABLATIONS[part])
        return config


ABLATIONS: Mapping[str, Mapping[str, Any]] = {
    "look": {"look": 0.0}, "overlap": {"overlap": False}, "denoise": {"denoise": False},
    "consistency": {"consistency": 0.0}, "merge": {"merge": 0.0}, "mask-pooling": {"pool": "box"},
}
"""What can be switched off: the ablations of the paper's tables 5 and 6."""


def opentrack3d(
    config: OpenTrack3DConfig | None = None,
    segment: Segmenter | None = None,
    embed: Embedder | None = None,
    scene: SceneMap | None = None,
    superpoints: tuple[Float32[Tensor, "v 3"], Int64[Tensor, "v"]] | None = None,
    answer: Answerer | None = None,
) -> Mapper:
    """The method with its weight-free parts; `segment` and `embed` put others into their sockets.

    Args:
        scene: the map to continue.
        superpoints: vertices of a mesh in the recording's world and the superpoint of each: where there is a mesh,
            instances follow them (geometry refinement). Without one that code is not so much as imported.
        answer: who answers `Mapper.ask`.
    """
    c = config or OpenTrack3DConfig()
    merge = Merge(iou=c.merge, look=0.6 if c.look else -1.0)
    consistency = Consistency(least=c.consistency)
    refine: list[Refiner] = [
        *([Consensus(least=c.consensus)] if c.merge and c.consensus else []),
        *([consistency] if c.consistency else []),
        *([merge] if c.merge else []),
        *([consistency] if c.merge and c.consistency else []),
        *([_snap(superpoints, c)] if superpoints is not None else []),
        Prune(least_observations=c.least_observations),
        Suppress(contained=c.contained),
    ]
    return Mapper(
        reconstruct=Sensor(far_m=c.far_m),
        segment=segment or GeometricSegmenter(),
        embed=embed or Patches(pool=c.pool),
        lift=Lift(far_m=c.far_m, denoise=c.denoise),
        associate=Fused(
            look=c.look if c.overlap else 1.0,
            overlap=(1.0 - c.look) if c.overlap else 0.0,
            threshold=c.match,
            least_look=0.45 if c.look else -1.0,
            least_contained=0.1 if c.overlap else 0.0,
            fragment=0.8 if c.overlap else 2.0,
        ),
        maintain=Every(c.maintain_every, Chain((*([merge] if c.merge else []), Unconfirmed()))),
        refine=Chain(tuple(refine)),
        scene=SceneMap(c.voxel_m, c.visible_m) if scene is None else scene,  # an empty one is falsy
        answer=answer,
    )


def _snap(superpoints: tuple[Float32[Tensor, "v 3"], Int64[Tensor, "v"]], c: OpenTrack3DConfig) -> Refiner:
    from seg3r.refine.snap import Snap

    return Snap(*superpoints, add=c.snap_add, drop=c.snap_drop)
