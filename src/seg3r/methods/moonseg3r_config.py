"""The numbers of MoonSeg3R, apart from its parts: this file is light, and the command line makes flags of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from seg3r.methods.numbers import check_numbers, without_parts


@dataclass(frozen=True)
class MoonSeg3RConfig:
    """Which numbers, and which parts are switched off (the rows of the paper's table 2)."""

    use_2d: bool = True
    """F2d: the features of the image."""
    use_3d: bool = True
    """F3d: the tokens of the reconstructor."""
    refine: bool = True
    """Query refinement; without it features are pooled."""
    memory: bool = True
    """The 3D query index memory; needs `refine`."""
    token: bool = True
    """The state-distribution token."""
    merge_within: float = 0.8
    """Cosine above which masks of one frame are one (paper, section 3.4)."""
    merge_adjacent: bool = True
    """Whether masks of one frame must touch to become one (D18; the paper's wording does not ask for it)."""
    match: float = 1.8
    """E = cos(query) + cos(token) + IoU(box) below which nothing matches (paper, section 3.4). Without the token 2/3 of
    it."""
    token_frames: int = 5
    """A token counts against one of at most so many views ago, else E is 3/2 of the two others (D21)."""
    box_trim: float = 0.02
    """A box spans the 2nd to the 98th percentile of its points along each axis (D19); 0: all of them."""
    far_m: float = 8.0
    """Depth beyond so many metres is not used."""
    voxel_m: float = 0.025
    """Edge of a voxel, metres: as OnlineAnySeg."""
    visible_m: float = 0.1
    """A point is visible within so many metres of the depth: that of one camera is less sure than a sensor's."""
    least_observations: int = 2
    """Final filter (D22): instances seen less often go."""
    least_points: int = 50
    """Final filter (D22): instances of fewer points go. OnlineAnySeg asks for 200 points of 2.5 cm: that leaves out
    cups and books. Its largest cluster is not taken: masks are clustered when they are lifted."""
    merge: float = 0.3
    """Instances whose points have this IoU are one in the end; 0 switches it off (ours, as for RGB-D)."""
    measured: int = 5
    """In the end points that fewer frames measured are forgotten (ours: inferred depth strews them); 0: none."""
    consensus: float = 0.0
    """In the end instances that share one mask in so much of the views showing both become one, as for RGB-D (ours;
    MaskClustering 0.5): for masks that break things into pieces, each frame into others. 0 switches it off."""
    vote: float | None = 0.2
    """In the end a point is the instance's that most frames gave it to, if these are at least so many of those that
    measured it; None: all that an instance ever touched stays its own (D20; the papers do not say)."""
    maintain_every: int = 20
    """Views between two housekeepings."""

    def __post_init__(self) -> None:
        check_numbers(self)

    def without(self, *parts: str) -> MoonSeg3RConfig:
        """The same numbers with these parts of the method switched off, see `ABLATIONS`.

        Raises:
            InputError: no such part.
        """
        return without_parts(self, parts, ABLATIONS)


BUNDLED_NUMBERS = MoonSeg3RConfig(merge_within=0.95, match=2.1, token_frames=1, consensus=0.5)
"""The method with the bundled features, by which more is alike than by the paper's: chosen on six rooms of the
val split (docs/moonseg3r.md)."""
ABLATIONS: Mapping[str, Mapping[str, Any]] = {
    "2d": {"use_2d": False}, "3d": {"use_3d": False}, "refine": {"refine": False, "memory": False},
    "memory": {"memory": False}, "token": {"token": False},
}
"""What can be switched off: the rows of the paper's table 2, from below."""
