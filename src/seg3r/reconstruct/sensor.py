"""Depth and pose as the recording gives them."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from seg3r.errors import InputError
from seg3r.geometry import world_rays
from seg3r.kernels import sensor as kernels
from seg3r.types import Frame, View


@dataclass(frozen=True)
class Sensor:
    """Trusts every depth in range; what lies beyond counts as not measured: it can neither be seen nor deny a point."""

    near_m: float = 0.1
    far_m: float = 8.0

    def __call__(self, frame: Frame) -> tuple[View]:
        """The frame's own view, at once."""
        return (self.view(frame),)

    def view(self, frame: Frame) -> View:
        """Raises InputError if the frame has no depth or no camera."""
        if frame.depth is None or frame.camera is None:
            missing = "depth" if frame.depth is None else "pose"
            raise InputError(f"frame {frame.index} has no {missing}; this method needs posed RGB-D")
        H, W = frame.camera.size
        depth, confidence = torch.empty(H, W), torch.empty(H, W)
        points = torch.empty(H, W, 3)
        across, down, eye = world_rays(frame.camera.K, frame.camera.T_world_cam, (H, W))
        kernels.unproject_in_range(
            frame.depth.numpy(), across.numpy(), down.numpy(), eye.numpy(), self.near_m, self.far_m, depth.numpy(),
            points.numpy(), confidence.numpy(),
        )
        return View(frame, frame.camera, depth, points, confidence)

    def finish(self) -> tuple[()]:
        """Owes nothing."""
        return ()

    def reset(self) -> None:
        """Remembers nothing."""
