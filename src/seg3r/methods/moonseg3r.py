"""MoonSeg3R (arXiv 2512.15577): online, zero-shot instances from a single uncalibrated RGB video.

Every number is named below with its source: the paper, or our decision (D1 to D26 of docs/moonseg3r.md) where it is
silent. Its thresholds belong to its features: other features want others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from seg3r.associate.fused import Fused
from seg3r.embed.memory import QueryIndexMemory
from seg3r.embed.refined_queries import DenseFeatures, RefinedQueries
from seg3r.errors import check_choice
from seg3r.lift import Lift
from seg3r.mapper import Mapper
from seg3r.models.query_refiner import QueryRefiner
from seg3r.protocols import Answerer, Reconstructor, Refiner, Segmenter
from seg3r.refine.chain import Chain, Every
from seg3r.refine.consensus import Consensus
from seg3r.refine.merge import Merge
from seg3r.refine.outvote import Outvote
from seg3r.refine.prune import Prune, Strewn, Unconfirmed
from seg3r.scene import SceneMap
from seg3r.segment.geometric import GeometricSegmenter


@dataclass(frozen=True)
class MoonSeg3RConfig:
    """Which numbers, and which parts are switched off (the rows of the paper's table 2)."""

    use_2d: bool = True
    """F2d: the features of the image."""
    use_3d: bool = True
    """F3d: the tokens of the reconstructor."""
    refine: bool = True
    """Query refinement; False: pooled features."""
    memory: bool = True
    """The 3D query index memory; needs `refine`."""
    token: bool = True
    """The state-distribution token."""
    merge_within: float = 0.8
    """Cosine above which masks of one frame are one (paper, section 3.4) ..."""
    merge_adjacent: bool = True
    """... if they touch (D18; the paper's wording does not ask for it)."""
    match: float = 1.8
    """E = cos(query) + cos(token) + IoU(box) below which nothing matches (paper, section 3.4). Without the token 2/3 of
    it."""
    token_frames: int = 5
    """A token counts against one of at most so many views ago, else E is 3/2 of the two others (D21)."""
    box_trim: float = 0.02
    """A box spans the 2nd to the 98th percentile of its points along each axis (D19); 0: all of them."""
    far_m: float = 8.0
    """Depth beyond it is not used."""
    voxel_m: float = 0.025
    """OnlineAnySeg."""
    visible_m: float = 0.1
    """A point is visible within so much of the depth: that of one camera is less sure than a sensor's."""
    least_observations: int = 2
    least_points: int = 50
    """Final filter (D22): instances seen less often or smaller go. OnlineAnySeg asks for 200 points of 2.5 cm: that
    leaves out cups and books. Its largest cluster is not taken: masks are clustered when they are lifted."""
    merge: float = 0.3
    """Instances whose points have this IoU are one in the end; 0 switches it off (ours, as for RGB-D)."""
    measured: int = 5
    """In the end points that fewer frames measured are forgotten (ours: inferred depth strews them); 0: none."""
    consensus: bool = False
    """In the end instances that the views see as one thing become one (ours; MaskClustering): for masks that break
    things into pieces, each frame into others."""
    vote: float | None = 0.2
    """In the end a point is the instance's that most frames gave it to, if these are at least so many of those that
    measured it; None: all that an instance ever touched stays its own (D20; the papers do not say)."""
    maintain_every: int = 20
    """Views between two housekeepings."""

    def without(self, *parts: str) -> MoonSeg3RConfig:
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
    "2d": {"use_2d": False}, "3d": {"use_3d": False}, "refine": {"refine": False, "memory": False},
    "memory": {"memory": False}, "token": {"token": False},
}
"""What can be switched off: the rows of the paper's table 2, from below."""


def moonseg3r(
    reconstruct: Reconstructor,
    features2d: DenseFeatures,
    refiner: QueryRefiner | None,
    config: MoonSeg3RConfig | None = None,
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
        (c.consensus, Consensus()),
        (c.merge > 0, Merge(iou=c.merge, look=-1.0)),
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
            look=1.0, overlap=0.0, identity=1.0 if c.token else 0.0, box=1.0, identity_frames=c.token_frames,
            box_trim=c.box_trim, threshold=c.match if c.token else c.match * 2 / 3, look_floor=0.0, least_look=-1.0,
            least_contained=0.0, fragment=2.0,
        ),
        maintain=Every(c.maintain_every, Unconfirmed()),
        refine=Chain(tuple(refine for wanted, refine in final if wanted)),
        scene=SceneMap(c.voxel_m, c.visible_m) if scene is None else scene,  # an empty one is falsy
        answer=answer,
    )
