"""Depth and pose as the recording gives them."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from seg3r.errors import InputError
from seg3r.geometry import unproject_to_world
from seg3r.types import Frame, View


@dataclass(frozen=True)
class Sensor:
    """Trusts every depth in range."""

    near_m: float = 0.1
    far_m: float = 8.0

    def __call__(self, frame: Frame) -> View:
        """Raises InputError if the frame has no depth or no camera."""
        if frame.depth is None or frame.camera is None:
            missing = "depth" if frame.depth is None else "pose"
            raise InputError(f"frame {frame.index} has no {missing}; this method needs posed RGB-D")
        depth = torch.nan_to_num(frame.depth, nan=0.0, posinf=0.0, neginf=0.0)
        confidence = ((depth >= self.near_m) & (depth <= self.far_m)).to(torch.float32)
        points = unproject_to_world(depth, frame.camera.K, frame.camera.T_world_cam)
        return View(frame, frame.camera, depth, points, confidence)

    def reset(self) -> None:
        """Remembers nothing."""
