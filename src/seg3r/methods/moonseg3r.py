"""MoonSeg3R (arXiv 2512.15577): online, zero-shot instances from a single uncalibrated RGB video.

Every number is named in `moonseg3r_config` with its source: the paper, or our decision (D1 to D26 of docs/moonseg3r.md)
where it is silent. Its thresholds belong to its features: other features want others.
"""

from __future__ import annotations

from seg3r.associate.fused import Fused
from seg3r.embed.memory import QueryIndexMemory
from seg3r.embed.refined_queries import DenseFeatures, RefinedQueries
from seg3r.lift import Lift
from seg3r.mapper import Mapper
from seg3r.methods.moonseg3r_config import ABLATIONS, MoonSeg3RConfig
from seg3r.models.query_refiner import QueryRefiner
from seg3r.protocols import Answerer, Reconstructor, Refiner, Segmenter
from seg3r.refine.chain import Chain, Every
from seg3r.refine.consensus import Consensus
from seg3r.refine.merge import Merge
from seg3r.refine.outvote import Outvote
from seg3r.refine.prune import Prune, Strewn, Unconfirmed
from seg3r.scene import SceneMap
from seg3r.segment.geometric import GeometricSegmenter

__all__ = ["ABLATIONS", "MoonSeg3RConfig", "moonseg3r"]


def moonseg3r(
    reconstruct: Reconstructor,
    features2d: DenseFeatures,
    refiner: QueryRefiner | None,
    config: MoonSeg3RConfig | None = None,
    *,
    segment: Segmenter | None = None,
    scene: SceneMap | None = None,
    answer: Answerer | None = None,
) -> Mapper:
    """The method with what its sockets take.

    Args:
        reconstruct: CUT3R in the paper.
        features2d: DINOv3 in the paper.
        refiner: None where `config.refine` is off.
        segment: CropFormer in the paper's tests; None: the weight-free one, on the depth that was inferred.
        scene: the map to continue.
        answer: who answers `Mapper.ask`.
    """
    c = config or MoonSeg3RConfig()
    final: list[tuple[bool, Refiner]] = [
        (c.measured > 0, Strewn(c.measured)),
        (c.consensus > 0, Consensus(least=c.consensus)),
        (c.merge > 0, Merge(iou=c.merge, least_visual=None)),
        (c.vote is not None, Outvote(c.vote or 0.0)),
        (True, Prune(c.least_observations, c.least_points)),
    ]
    return Mapper(
        reconstruct=reconstruct,
        segment=segment or GeometricSegmenter(),
        embed=RefinedQueries(
            features2d, refiner=refiner if c.refine else None,
            memory=QueryIndexMemory() if c.refine and c.memory else None, token="state" if c.token else None,
            merge=c.merge_within, merge_adjacent=c.merge_adjacent, use_3d=c.use_3d, use_2d=c.use_2d,
        ),
        lift=Lift(far_m=c.far_m),
        associate=Fused(  # every instance is a candidate, each finds one mask at most
            visual=1.0, overlap=0.0, identity=1.0 if c.token else 0.0, box=1.0, identity_frames=c.token_frames,
            box_trim=c.box_trim, threshold=c.match if c.token else c.match * 2 / 3, visual_floor=0.0,
            least_visual=None, least_contained=None, fragment=None,
        ),
        maintain=Every(c.maintain_every, Unconfirmed()),
        refine=Chain(tuple(refine for wanted, refine in final if wanted)),
        scene=SceneMap(c.voxel_m, c.visible_m) if scene is None else scene,  # an empty one is falsy
        answer=answer,
    )
