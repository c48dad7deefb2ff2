"""7-Scenes (Shotton et al., CVPR 2013): one sequence folder of frame-NNNNNN.{color.png,depth.png,pose.txt}.

Depth in millimetres, 65535 = none; poses camera-to-world. The data set states one default K for its depth camera
(focal length 585, principal point 320, 240) and no calibration of colour: as is usual, depth is taken as registered
to colour with that K, which leaves a small known offset. intrinsics.txt in the folder states a better one (for depth
rendered into the colour camera).
"""

from __future__ import annotations

from pathlib import Path

from seg3r.sources.listed import Calibration, ListedRecording
from seg3r.sources.read import intrinsics_file, pinhole
from seg3r.sources.shots import files, pair, pose_files, stated_scale


def recognise(root: Path) -> bool:
    """Any frame-*.color.png."""
    return next(root.glob("frame-*.color.png"), None) is not None


def open_seven_scenes(root: Path, every: int = 1) -> ListedRecording:
    """See `ListedRecording` for what raises InputError."""
    shots = pair(
        files(root, {".png"}, "frame-", ".color"), files(root, {".png"}, "frame-", ".depth"),
        pose_files(root, ".pose"),
    )
    own = root / "intrinsics.txt"
    K = intrinsics_file(own) if own.is_file() else pinhole(585.0, 585.0, 320.0, 240.0)
    return ListedRecording("7-Scenes", root, root, shots, Calibration(K, stated_scale(root, 1000.0)), every)
