"""Words that a person chooses between, each list once. `errors.check_choice` refuses others at the door."""

from __future__ import annotations

from typing import Literal

MethodName = Literal["opentrack3d", "moonseg3r"]
PresetName = Literal["bundled", "foundation"]
Geometry = Literal["cut3r", "odometry", "sensor", "saved"]
"""Where camera and depth come from: a recurrent network, features and plane sweeps, the recording itself, a folder."""
LabelerName = Literal["votes", "nearest", "mllm"]
"""Who names: the names beside the masks, the nearest text (CLIP family), a multi-modal language model."""
AnswererName = Literal["nearest", "mllm"]
"""Who answers: the nearest text, or a multi-modal language model."""
Pool = Literal["mask", "box"]
"""Over what descriptors of a mask are taken: itself, or (an ablation) its box."""
MaskSource = Literal["geometric", "truth"]
"""The method's own segmenter, or perfect masks."""
Association = Literal["own", "truth"]
"""The method's own, or perfect."""
Split = Literal["train", "val", "test"]
"""Disjoint ranges of seeds of rooms."""
Depth = Literal["clean", "noisy"]
Placement = Literal["unprojected", "aligned"]
"""How a map of one camera comes to the truth. unprojected: what each view gave its pixels to, at their true place.
aligned: the map itself, after the similarity that fits its cameras."""
ScoresAs = Literal["ranked", "constant"]
"""Confidences as they are, or all one (what several published scripts do; AP is then r(1+p)/2)."""
