"""Where frames come from: one file per layout, each lists what is there; reading, aligning and checking is shared.

`open_source` recognises a recording by what it finds. Frames with an unreadable image, without depth or with a pose
that is none are left out and counted in `skipped`; what concerns a whole recording is an InputError.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from seg3r.errors import InputError
from seg3r.reading import one_line
from seg3r.sources import images, replica, rgbd_folder, scannet, scannetpp, scenefun3d, seven_scenes, tum
from seg3r.sources.camera import open_camera
from seg3r.sources.recording import Recording
from seg3r.sources.sens import open_sens
from seg3r.sources.video import SUFFIXES as VIDEO_SUFFIXES
from seg3r.sources.video import Video

__all__ = ["LAYOUTS", "Layout", "Recording", "open_source"]


@dataclass(frozen=True)
class Layout:
    """A way to lay out a recording as a folder."""

    name: str
    looked_for: str
    """What marks it, for the error that lists it."""
    recognise: Callable[[Path], bool]
    open: Callable[[Path, int], Recording]


LAYOUTS = (
    Layout("7-Scenes", "frame-*.color.png", seven_scenes.recognise, seven_scenes.open_seven_scenes),
    Layout("TUM RGB-D", "rgb.txt and depth.txt", tum.recognise, tum.open_tum),
    Layout("Replica", "results/ and traj.txt", replica.recognise, replica.open_replica),
    Layout("ScanNet export", "color/ and intrinsic/intrinsic_color.txt", scannet.recognise, scannet.open_scannet),
    Layout("ScanNet++ iPhone", "pose_intrinsic_imu.json", scannetpp.recognise, scannetpp.open_scannetpp),
    Layout("SceneFun3D", "hires_wide/ with hires_poses.traj", scenefun3d.recognise, scenefun3d.open_scenefun3d),
    Layout("RGB-D folder", "color/ with depth/ and poses/", rgbd_folder.recognise, rgbd_folder.open_rgbd_folder),
    Layout("ScanNet .sens", "one .sens file", lambda root: _only_sens(root) is not None,
           lambda root, every: open_sens(_only_sens(root) or root, every)),
    Layout("image folder", "images", images.recognise, images.open_images),
)
"""Tried in this order; the first that fits is taken."""


def open_source(spec: str | Path, every: int = 1) -> Recording:
    """A recording, recognised by what it is.

    Args:
        spec: a video file, a `.sens` file, a folder in one of `LAYOUTS`, `camera:0` or a bare number (live camera),
            `rooms:SEED`, `rooms:SEED:clean` or `rooms:SEED:noisy` (a procedural room).
        every: stride over the recording's own list of frames.

    Raises:
        InputError: nothing there, nothing recognised, or nothing usable in it; the message says which.
    """
    text = str(spec)
    kind, _, rest = text.partition(":")
    if kind == "rooms" and rest:
        return _open_room(text, rest, every)
    if text.isdecimal() or (kind == "camera" and rest):
        number = rest if kind == "camera" else text
        if not number.isdecimal():
            raise InputError(f"{text}: a camera is named by its number, such as camera:0")
        return open_camera(int(number), every)
    path = Path(spec).expanduser()
    try:
        if path.is_dir():
            return _open_folder(path, every)
        if path.is_file():
            return _open_file(path, every)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({one_line(error)})") from error
    raise InputError(f"{path}: no such file or folder")


def _open_file(path: Path, every: int) -> Recording:
    suffix = path.suffix.lower()
    if suffix == ".sens":
        return open_sens(path, every)
    if suffix in VIDEO_SUFFIXES:
        return Video(path, every)
    raise InputError(f"{path}: neither a video ({' '.join(sorted(VIDEO_SUFFIXES))}) nor a .sens file")


def _open_folder(root: Path, every: int) -> Recording:
    if next(root.iterdir(), None) is None:
        raise InputError(f"{root}: an empty folder")
    layout = _layout_of(root)
    if layout is not None:
        return layout.open(root, every)
    inner = sorted(p.name for p in root.iterdir() if p.is_dir() and _layout_of(p) is not None)
    hint = f"; did you mean {', '.join(inner[:3])} inside it?" if inner else ""
    wanted = "; ".join(f"{layout.looked_for} ({layout.name})" for layout in LAYOUTS)
    raise InputError(f"{root}: not a recording; looked for {wanted}{hint}")


def _layout_of(root: Path) -> Layout | None:
    return next((layout for layout in LAYOUTS if layout.recognise(root)), None)


def _only_sens(root: Path) -> Path | None:
    found = sorted(root.glob("*.sens"))
    return found[0] if len(found) == 1 else None


def _open_room(spec: str, rest: str, every: int) -> Recording:
    seed, _, depth = rest.partition(":")
    if not seed.isdecimal() or depth not in ("", "clean", "noisy"):
        raise InputError(f"{spec}: a room is rooms:SEED, rooms:SEED:clean or rooms:SEED:noisy")
    from seg3r.sources.rooms import RoomsSource

    return RoomsSource(int(seed), depth=depth or "noisy", every=every)
