"""Frame -> View by CUT3R: a single uncalibrated camera, metric, frame by frame, no look ahead.

CUT3R's code and weights are CC BY-NC-SA 4.0 (Wang et al., CVPR 2025, arXiv 2501.12387): the user fetches them. This
package's own small weights of the same class are Apache-2.0.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch
from jaxtyping import Float, Float32, Float64, UInt8
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from seg3r.errors import InputError, check_choice
from seg3r.geometry import transform, unproject
from seg3r.models.cut3r import Carried, Cut3r, Cut3rConfig, Pose, load_weights
from seg3r.models.images import by_long_side
from seg3r.reading import quoted, reading
from seg3r.reconstruct.motion import FlowMotion, FlowView
from seg3r.reconstruct.size import checked_size
from seg3r.types import Camera, Frame, View

WEISZFELD = 10
"""Rounds of it (DUSt3R)."""
FOCALS = 50
"""So many frames' focal lengths are remembered; their median holds."""


class Cut3rReconstructor:
    """Remembers the network's state, where the last frame was, and what focal lengths were seen.

    The image is scaled to `side`, cropped to whole patches and seen as -1..1. Of the network's points their depth is
    used, on the rays of a pinhole camera fitted to them: so points and camera agree exactly, as matching needs. What
    lies outside the crop has no depth.
    """

    def __init__(
        self,
        model: Cut3r,
        *,
        side: int = 512,
        pose: Literal["head", "solver"] = "head",
        least_confidence: float = 1.5,
        view_side: int = 512,
        layers: int = 6,
        reset_every: int = 0,
        gate: bool = False,
        device: torch.device | str = "cpu",
    ) -> None:
        """
        Args:
            side: long side of the image as the network sees it, pixels.
            pose: `head`: the network's own. `solver`: from flow and predicted depth, step by step: the state then does
                not matter to it, nor does the drift of the pose head.
            least_confidence: of CUT3R's 1 + e^x; its demo takes 1.5. Less is no depth.
            view_side: long side of the view, at most that of the frame.
            layers: the last so many of the state decoder give the attention (docs/moonseg3r.md, D17).
            reset_every: frames after which the state starts anew, its world tied to the old one by the frame that both
                saw; 0 = never (what the paper of MoonSeg3R seems to do).
            gate: TTT3R's rule of update, for long videos.
        """
        self.model = model.to(device).eval()
        self.side, self.view_side, self.least_confidence = side, view_side, least_confidence
        self.reset_every, self.gate, self.device = reset_every, gate, torch.device(device)
        depth = model.config.decoder_depth
        self.tap = tuple(range(max(0, depth - layers), depth))
        check_choice("pose", pose, ("head", "solver"))
        self.motion = FlowMotion() if pose == "solver" else None
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._carried: Carried | None = None
        self._frames = 0
        self._focals: list[float] = []
        self._last: FlowView | None = None
        self._size: tuple[int, int] | None = None
        self._T_world_start = torch.eye(4, dtype=torch.float64)
        self._T_world_last = torch.eye(4, dtype=torch.float64)

    def finish(self) -> tuple[()]:
        """Owes nothing."""
        return ()

    def __call__(self, frame: Frame) -> tuple[View]:
        """The frame's own view.

        Raises:
            InputError: a frame of another size than those before.
        """
        self._size = checked_size(frame, self._size)
        return (self._see(frame),)

    @torch.no_grad()
    def _see(self, frame: Frame) -> View:
        patch = self.model.config.patch
        small, window = network_input(frame.rgb, self.side, patch)
        image = (small.permute(2, 0, 1)[None].float() / 127.5 - 1).to(self.device)
        if self._carried is None:
            self._carried = self.model.initial()
        prediction, carried = self.model(image, self._carried, tap=self.tap, gate=self.gate)
        points, confidence = prediction.points[0].cpu(), prediction.confidence[0].cpu()
        self._focals = [*self._focals, focal_of(points, confidence)][-FOCALS:]
        focal = float(np.median(self._focals))
        rgb, depth, sure, K = self._at_view_size(frame, points[..., 2], confidence, focal, window)
        T = self._pose(prediction.pose, rgb, depth, K)
        self._carried = carried
        self._frames += 1
        if self.reset_every and self._frames % self.reset_every == 0:
            again, self._carried = self.model(image, self.model.initial(), gate=self.gate)
            self._T_world_start = T @ torch.linalg.inv(matrix(again.pose))
        camera = Camera(K, T, (rgb.shape[0], rgb.shape[1]))
        h, w = image.shape[2] // patch, image.shape[3] // patch
        assert prediction.attention is not None
        attention = prediction.attention[0, :, 1:].unflatten(1, (h, w)).cpu()  # the first key is the pose token
        inside = _scaled_window(window, (frame.rgb.shape[0], frame.rgb.shape[1]), camera.size)
        return View(
            frame=replace(frame, rgb=rgb, depth=None, camera=None), camera=camera, depth=depth,
            points=transform(T.float(), unproject(depth, K.float())), confidence=sure,
            tokens=prediction.tokens[0].unflatten(0, (h, w)).cpu(), state_attention=attention, window=inside,
        )

    def _at_view_size(
        self, frame: Frame, z: Float32[Tensor, "a b"], confidence: Float32[Tensor, "a b"], focal: float,
        window: tuple[float, float, float, float],
    ) -> tuple[UInt8[Tensor, "H W 3"], Float32[Tensor, "H W"], Float32[Tensor, "H W"], Float64[Tensor, "3 3"]]:
        """Image, depth, confidence and intrinsics on the grid of the view."""
        full = (frame.rgb.shape[0], frame.rgb.shape[1])
        size = by_long_side(full, min(self.view_side, max(full)))
        rgb = frame.rgb if size == full else _resized(frame.rgb, size)
        top, left, bottom, right = _scaled_window(window, full, size)
        within = (bottom - top, right - left)
        both = torch.stack((z, confidence))[None]
        fine = functional.interpolate(both, within, mode="bilinear", align_corners=False)[0]
        depth, sure = torch.zeros(size), torch.zeros(size)
        ok = (fine[1] >= self.least_confidence) & (fine[0] > 0)
        depth[top:bottom, left:right] = torch.where(ok, fine[0], torch.zeros(()))
        sure[top:bottom, left:right] = torch.where(ok, fine[1], torch.zeros(()))
        f = focal * within[1] / z.shape[1]
        centre = ((left + right - 1) / 2, (top + bottom - 1) / 2)
        K = torch.tensor([[f, 0, centre[0]], [0, f, centre[1]], [0, 0, 1]], dtype=torch.float64)
        return rgb, depth, sure, K

    def _pose(
        self, head: Pose, rgb: UInt8[Tensor, "H W 3"], depth: Float32[Tensor, "H W"], K: Float64[Tensor, "3 3"]
    ) -> Float64[Tensor, "4 4"]:
        if self.motion is None:
            return self._T_world_start @ matrix(head)
        gray = cv2.cvtColor(rgb.numpy(), cv2.COLOR_RGB2GRAY).astype(np.uint8)
        now = FlowView(gray, unproject(depth, K.float()).numpy())
        if self._last is not None:
            step = self.motion(self._last, now, K.numpy())
            # Where flow fails (black, blurred, a cut) the camera is taken to stand still.
            self._T_world_last = self._T_world_last @ torch.from_numpy(np.eye(4) if step is None else step)
        self._last = now
        return self._T_world_last.clone()

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint keeps."""
        state: dict[str, Tensor] = {
            "frames": torch.tensor(self._frames), "focals": torch.tensor(self._focals, dtype=torch.float64),
            "start": self._T_world_start, "last": self._T_world_last,
        }
        if self._size is not None:
            state["size"] = torch.tensor(self._size)
        if self._carried is not None:
            state |= {f"carried.{name}": value.cpu() for name, value in self._carried._asdict().items()}
        if self._last is not None:
            state |= {f"seen.{name}": torch.from_numpy(value) for name, value in self._last._asdict().items()}
        return state

    def restore(self, state: dict[str, Tensor]) -> None:
        """Raises InputError for the state of another network."""
        self.reset()
        try:
            self._frames, self._focals = int(state["frames"]), state["focals"].tolist()
            self._T_world_start, self._T_world_last = state["start"], state["last"]
            if "size" in state:
                self._size = (int(state["size"][0]), int(state["size"][1]))
            if "carried.state" in state:
                self._carried = Carried(*(state[f"carried.{name}"].to(self.device) for name in Carried._fields))
            if "seen.gray" in state:
                self._last = FlowView(*(state[f"seen.{name}"].numpy() for name in FlowView._fields))
        except KeyError as error:
            raise InputError(f"not the memory of a CUT3R: it lacks {error}") from error
        wanted = (self.model.config.states, self.model.config.decoder_width)
        if self._carried is not None and tuple(self._carried.state.shape[1:]) != wanted:
            raise InputError(f"the memory of another CUT3R: states {list(self._carried.state.shape[1:])}, not {wanted}")


def load_cut3r(folder: Path) -> Cut3r:
    """From `model.safetensors`, and `config.json` where the sizes are not those of the release.

    Raises:
        InputError: no such files, a file cut short, or tensors of another network.
    """
    path = folder / "model.safetensors" if folder.is_dir() else folder
    with reading(path, "safetensors"):
        weights = load_file(path)
    config = _config(path.with_name("config.json"))
    with reading(path.with_name("config.json"), "sizes of a CUT3R"):
        model = Cut3r(config)
    load_weights(model, weights, str(path))
    return model.eval()


def _config(path: Path) -> Cut3rConfig:
    if not path.is_file():
        return Cut3rConfig()
    with reading(path, "sizes of a CUT3R"):
        given: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        known = {field.name for field in fields(Cut3rConfig)}
        if unknown := set(given) - known:
            raise InputError(f"{path}: no sizes of a CUT3R ({quoted(', '.join(sorted(unknown)))})")
        sizes: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}
        return Cut3rConfig(**sizes)


def network_input(
    rgb: UInt8[Tensor, "H W 3"], side: int, patch: int
) -> tuple[UInt8[Tensor, "h w 3"], tuple[float, float, float, float]]:
    """CUT3R's preparation: long side to `side` (Lanczos when it shrinks, else bicubic), the middle cut to whole
    patches; a square image is cut to 4:3.

    Returns:
        the image, and which rows and columns of the original it covers (first, first, end, end), in pixels.
    """
    H, W = rgb.shape[:2]
    h, w = by_long_side((H, W), side)
    small = _resized(rgb, (h, w), Image.Resampling.LANCZOS if max(H, W) > side else Image.Resampling.BICUBIC)
    rows, columns = h // patch * patch, w // patch * patch
    if h == w:
        rows = rows * 3 // 4 // patch * patch
    if not rows or not columns:
        raise InputError(f"an image of {W}x{H} is too narrow for patches of {patch} at {side} pixels")
    top, left = (h - rows) // 2, (w - columns) // 2
    window = (top * H / h, left * W / w, (top + rows) * H / h, (left + columns) * W / w)
    return small[top : top + rows, left : left + columns].contiguous(), window


def focal_of(points: Float[Tensor, "h w 3"], confidence: Float[Tensor, "h w"]) -> float:
    """Focal length in pixels that explains a pointmap best, the principal point in the middle: Weiszfeld's iteration on
    the distances of projections (DUSt3R, section 3.3), over the more confident half."""
    h, w = points.shape[:2]
    rows, columns = torch.meshgrid(torch.arange(h) - (h - 1) / 2, torch.arange(w) - (w - 1) / 2, indexing="ij")
    use = (confidence >= confidence.median()) & (points[..., 2] > 1e-3)
    if not bool(use.any()):
        return 0.9 * max(h, w)
    pixels = torch.stack((columns, rows), dim=-1)[use].double()
    slants = (points[..., :2] / points[..., 2:])[use].double()
    dot, square = (slants * pixels).sum(1), (slants**2).sum(1)
    # From the median: a least-squares start would be that of the few points next to the camera.
    focal = (pixels.norm(dim=1) / slants.norm(dim=1).clamp_min(1e-9)).median()
    for _ in range(WEISZFELD):
        weight = 1 / (pixels - focal * slants).norm(dim=1).clamp_min(1e-8)
        focal = (weight * dot).sum() / (weight * square).sum().clamp_min(1e-9)
    # A lens of less than 17 degrees or more than 127 is no answer.
    return float(focal.clamp(0.25 * max(h, w), 3.5 * max(h, w)))


def matrix(pose: Pose) -> Float64[Tensor, "4 4"]:
    """Camera to world, of a batch of one."""
    w, x, y, z = pose.quaternion[0].double().cpu().tolist()
    T = torch.eye(4, dtype=torch.float64)
    T[:3, :3] = torch.tensor([
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ], dtype=torch.float64)
    T[:3, 3] = pose.translation[0].double().cpu()
    return T


def _resized(
    rgb: UInt8[Tensor, "H W 3"], size: tuple[int, int], how: Image.Resampling = Image.Resampling.LANCZOS
) -> UInt8[Tensor, "h w 3"]:
    if tuple(rgb.shape[:2]) == size:
        return rgb
    image = Image.fromarray(rgb.numpy()).resize((size[1], size[0]), how)
    return torch.from_numpy(np.array(image))


def _scaled_window(
    window: Sequence[float], full: tuple[int, int], size: tuple[int, int]
) -> tuple[int, int, int, int]:
    y, x = size[0] / full[0], size[1] / full[1]
    top, left, bottom, right = (round(e * s) for e, s in zip(window, (y, x, y, x), strict=True))
    return top, left, bottom, right
