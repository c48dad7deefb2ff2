"""The same four frames written in every layout the package reads."""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.spatial.transform import Rotation

SIZE = (24, 32)
K = np.array([[30.0, 0.0, 15.3], [0.0, 31.0, 11.6], [0.0, 0.0, 1.0]])
JPEG = {"quality": 98, "subsampling": 0}


@dataclass(frozen=True)
class Moment:
    rgb: npt.NDArray[np.uint8]
    depth: npt.NDArray[np.float64]
    pose: npt.NDArray[np.float64]
    time_s: float


def moments(count: int = 4, seed: int = 3) -> list[Moment]:
    """Smooth colours (JPEG keeps them), depth 1..3 m with a hole, general poses."""
    rng = np.random.default_rng(seed)
    H, W = SIZE
    y, x = np.mgrid[:H, :W]
    made = []
    for n in range(count):
        rgb = np.stack((40 + 5 * x, 30 + 7 * y, np.full((H, W), 60 + 30 * n)), axis=-1).astype(np.uint8)
        depth = 1.0 + 0.05 * x + 0.02 * y + 0.1 * n
        depth[2:6, 3:9] = 0
        pose = np.eye(4)
        pose[:3, :3] = Rotation.random(random_state=int(rng.integers(1 << 30))).as_matrix()
        pose[:3, 3] = rng.normal(size=3)
        made.append(Moment(rgb, depth, pose, n / 30))
    return made


def units(depth: npt.NDArray[np.float64], per_metre: float) -> npt.NDArray[np.uint16]:
    return np.round(depth * per_metre).astype(np.uint16)


def save_image(pixels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **(JPEG if path.suffix == ".jpg" else {}))


def save_matrix(matrix: npt.NDArray[np.float64], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savetxt(path, matrix)


def write_rgbd_folder(root: Path, frames: Sequence[Moment]) -> Path:
    for n, m in enumerate(frames):
        save_image(m.rgb, root / "color" / f"{n:05d}.png")
        save_image(units(m.depth, 1000), root / "depth" / f"{n:05d}.png")
        save_matrix(m.pose, root / "poses" / f"{n:05d}.txt")
    save_matrix(K, root / "intrinsics.txt")
    return root


def write_float_folder(root: Path, frames: Sequence[Moment]) -> Path:
    """The other spelling: rgb/, pose/, floats in metres with NaN for none, one line of intrinsics, no zeros."""
    for n, m in enumerate(frames):
        save_image(m.rgb, root / "rgb" / f"{n}.jpg")
        (root / "depth").mkdir(exist_ok=True)
        np.save(root / "depth" / f"{n}.npy", np.where(m.depth > 0, m.depth, np.nan).astype(np.float32))
        save_matrix(m.pose[:3], root / "pose" / f"{n}.txt")
    (root / "intrinsics.txt").write_text(f"# fx fy cx cy\n{K[0, 0]}, {K[1, 1]}, {K[0, 2]}, {K[1, 2]}\n")
    return root


def write_tum(root: Path, frames: Sequence[Moment]) -> Path:
    start = 1305031102.175304
    listed: dict[str, list[str]] = {"rgb": ["# color images"], "depth": ["# depth maps"], "groundtruth": ["# pose"]}
    for m in frames:
        t, t_depth, t_pose = start + m.time_s, start + m.time_s + 0.008, start + m.time_s - 0.004
        save_image(m.rgb, root / "rgb" / f"{t:.6f}.png")
        save_image(units(m.depth, 5000), root / "depth" / f"{t_depth:.6f}.png")
        numbers = [*m.pose[:3, 3], *Rotation.from_matrix(m.pose[:3, :3]).as_quat()]
        listed["rgb"].append(f"{t:.6f} rgb/{t:.6f}.png")
        listed["depth"].append(f"{t_depth:.6f} depth/{t_depth:.6f}.png")
        listed["groundtruth"].append(f"{t_pose:.4f} " + " ".join(f"{v:.9f}" for v in numbers))
    for name, lines in listed.items():
        (root / f"{name}.txt").write_text("\n".join(lines) + "\n")
    save_matrix(K, root / "intrinsics.txt")
    return root


def write_seven_scenes(root: Path, frames: Sequence[Moment]) -> Path:
    for n, m in enumerate(frames):
        depth = units(m.depth, 1000)
        depth[depth == 0] = 65535
        save_image(m.rgb, root / f"frame-{n:06d}.color.png")
        save_image(depth, root / f"frame-{n:06d}.depth.png")
        save_matrix(m.pose, root / f"frame-{n:06d}.pose.txt")
    save_matrix(K, root / "intrinsics.txt")
    return root


def write_replica(root: Path, frames: Sequence[Moment]) -> Path:
    for n, m in enumerate(frames):
        save_image(m.rgb, root / "results" / f"frame{n:06d}.jpg")
        save_image(units(m.depth, 6553.5), root / "results" / f"depth{n:06d}.png")
    np.savetxt(root / "traj.txt", np.stack([m.pose.reshape(16) for m in frames]))
    camera = {"w": SIZE[1], "h": SIZE[0], "fx": K[0, 0], "fy": K[1, 1], "cx": K[0, 2], "cy": K[1, 2], "scale": 6553.5}
    (root / "cam_params.json").write_text(json.dumps({"camera": camera}))
    return root


def four_by_four(K3: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    matrix = np.eye(4)
    matrix[:3, :3] = K3
    return matrix


def write_scannet(root: Path, frames: Sequence[Moment]) -> Path:
    for n, m in enumerate(frames):
        save_image(m.rgb, root / "color" / f"{n}.jpg")
        save_image(units(m.depth, 1000), root / "depth" / f"{n}.png")
        save_matrix(m.pose, root / "pose" / f"{n}.txt")
    for name, matrix in (
        ("intrinsic_color", four_by_four(K)), ("intrinsic_depth", four_by_four(K)),
        ("extrinsic_color", np.eye(4)), ("extrinsic_depth", np.eye(4)),
    ):
        save_matrix(matrix, root / "intrinsic" / f"{name}.txt")
    return root


def jpeg(rgb: npt.NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "JPEG", **JPEG)
    return buffer.getvalue()


def sens_header(
    frames: int, version: int = 4, depth_kind: int = 1, size: tuple[int, int] = SIZE,
    E_depth: npt.NDArray[np.float64] | None = None, K_color: npt.NDArray[np.float64] = K,
    color_size: tuple[int, int] = SIZE,
) -> bytes:
    name = b"StructureSensor"
    matrices = (four_by_four(K_color), np.eye(4), four_by_four(K), np.eye(4) if E_depth is None else E_depth)
    return (
        struct.pack("<IQ", version, len(name)) + name
        + b"".join(m.astype("<f4").tobytes() for m in matrices)
        + struct.pack("<2i4IfQ", 2, depth_kind, color_size[1], color_size[0], size[1], size[0], 1000.0, frames)
    )


def sens_frame(m: Moment, color: bytes | None = None, depth: bytes | None = None) -> bytes:
    color = jpeg(m.rgb) if color is None else color
    depth = zlib.compress(units(m.depth, 1000).tobytes()) if depth is None else depth
    stamp = int(1_000_000 + m.time_s * 1e6)
    head = m.pose.astype("<f4").tobytes() + struct.pack("<4Q", stamp, stamp, len(color), len(depth))
    return head + color + depth


def write_sens(root: Path, frames: Sequence[Moment]) -> Path:
    path = root / "scene0000_00.sens"
    path.write_bytes(sens_header(len(frames)) + b"".join(sens_frame(m) for m in frames))
    return path


def write_scannetpp(root: Path, frames: Sequence[Moment]) -> Path:
    """An iPhone recording; the raw pose is ARKit's and not to be used."""
    told = {}
    for n, m in enumerate(frames):
        save_image(m.rgb, root / "rgb" / f"frame_{n:06d}.jpg")
        save_image(units(m.depth, 1000), root / "depth" / f"frame_{n:06d}.png")
        told[f"frame_{n:06d}"] = {
            "timestamp": 4000.5 + m.time_s, "pose": (np.eye(4) * 7).tolist(), "intrinsic": K.tolist(),
            "aligned_pose": m.pose.tolist(), "imu": {},
        }
    (root / "pose_intrinsic_imu.json").write_text(json.dumps(told))
    return root


def write_scenefun3d(root: Path, frames: Sequence[Moment]) -> Path:
    lines = []
    for m in frames:
        time_s = 7997.9 + m.time_s
        stem = f"42445132_{time_s:.6f}"
        save_image(m.rgb, root / "hires_wide" / f"{stem}.jpg")
        save_image(units(m.depth, 1000), root / "hires_depth" / f"{stem}.png")
        (root / "hires_wide_intrinsics").mkdir(exist_ok=True)
        (root / "hires_wide_intrinsics" / f"{stem}.pincam").write_text(
            f"{SIZE[1]} {SIZE[0]} {K[0, 0]} {K[1, 1]} {K[0, 2]} {K[1, 2]}"
        )
        T_cam_world = np.linalg.inv(m.pose)
        numbers = [*Rotation.from_matrix(T_cam_world[:3, :3]).as_rotvec(), *T_cam_world[:3, 3]]
        lines.append(f"{time_s:.6f} " + " ".join(f"{v:.9f}" for v in numbers))
    (root / "hires_poses.traj").write_text("\n".join(lines) + "\n")
    return root


WRITERS = {
    "rgbd_folder": write_rgbd_folder, "float_folder": write_float_folder, "tum": write_tum,
    "seven_scenes": write_seven_scenes, "replica": write_replica, "scannet": write_scannet, "sens": write_sens,
    "scannetpp": write_scannetpp, "scenefun3d": write_scenefun3d,
}
