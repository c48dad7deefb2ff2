"""OpenTrack3D (arXiv 2512.03532): a visual-spatial tracker over posed RGB-D; no mesh, no training.

The paper discloses its stages, not their equations: every number (`opentrack3d_config`) is our decision, with where it
comes from.
"Details Matter", OVIR-3D, ConceptGraphs, OnlineAnySeg and MaskClustering are its published neighbours.
"""

from __future__ import annotations

from jaxtyping import Float, Int64
from torch import Tensor

from seg3r.associate.fused import Fused
from seg3r.embed.patches import Patches
from seg3r.lift import Lift
from seg3r.mapper import Mapper
from seg3r.methods.opentrack3d_config import ABLATIONS, OpenTrack3DConfig
from seg3r.protocols import Answerer, Embedder, Refiner, Segmenter
from seg3r.reconstruct.sensor import Sensor
from seg3r.refine.chain import Chain, Every
from seg3r.refine.consensus import Consensus
from seg3r.refine.consistency import Consistency
from seg3r.refine.merge import Merge
from seg3r.refine.prune import Prune, Suppress, Unconfirmed
from seg3r.scene import SceneMap
from seg3r.segment.geometric import GeometricSegmenter

__all__ = ["ABLATIONS", "OpenTrack3DConfig", "opentrack3d"]


def opentrack3d(
    config: OpenTrack3DConfig | None = None,
    segment: Segmenter | None = None,
    embed: Embedder | None = None,
    scene: SceneMap | None = None,
    superpoints: tuple[Float[Tensor, "v 3"], Int64[Tensor, "v"]] | None = None,
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
    merge = Merge(iou=c.merge, least_visual=0.6 if c.look else None)
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
            visual=c.look if c.overlap else 1.0,
            overlap=(1.0 - c.look) if c.overlap else 0.0,
            threshold=c.match,
            least_visual=0.45 if c.look else None,
            least_contained=0.1 if c.overlap else None,
            fragment=0.8 if c.overlap else None,
        ),
        maintain=Every(c.maintain_every, Chain((*([merge] if c.merge else []), Unconfirmed()))),
        refine=Chain(tuple(refine)),
        scene=SceneMap(c.voxel_m, c.visible_m) if scene is None else scene,  # an empty one is falsy
        answer=answer,
    )


def _snap(superpoints: tuple[Float[Tensor, "v 3"], Int64[Tensor, "v"]], c: OpenTrack3DConfig) -> Refiner:
    from seg3r.refine.snap import Snap

    return Snap(*superpoints, add=c.snap_add, drop=c.snap_drop)
