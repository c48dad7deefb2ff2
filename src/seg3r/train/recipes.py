"""Rooms -> bundled weights. Every step goes on where an interrupted one stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Literal, get_args

from seg3r.errors import InputError, check_choice
from seg3r.lock import sole_writer
from seg3r.presets.mappers import preset_named
from seg3r.presets.preset import Preset, PresetName
from seg3r.protocols import Source
from seg3r.rooms import split_seeds
from seg3r.segment.geometric import GeometricSegmenter
from seg3r.sources import open_source
from seg3r.train import query_refiner as queries
from seg3r.train.clip import train_clip
from seg3r.train.cut3r import train_cut3r
from seg3r.train.data.room_maps import map_rooms
from seg3r.train.data.room_views import ChatBatches, RegionBatches, SeenRoom, see_rooms
from seg3r.train.data.walks import Walks, render_walks
from seg3r.train.distributed import DistributedContext
from seg3r.train.loop import CHECKPOINT
from seg3r.train.mllm import train_mllm

Twin = Literal["clip", "mllm", "cut3r", "moonseg3r"]
FIRST_ROOM = 100
"""The first rooms of the train split fitted the geometric segmenter: its masks there are better than elsewhere."""
FIRST_WALK = 400
"""Walks for what learns from video."""
STEPS = {"clip": 4200, "mllm": 2400, "cut3r": 5100, "moonseg3r": 2000}
ROOMS = {"clip": 210, "mllm": 210, "cut3r": 700, "moonseg3r": 700}
DEPTH_SHARE = 0.86
"""Of the steps of CUT3R, those on single frames: they are cheap, and motion is soon learnt by what sees depth."""
CLIPS, CLIP_LENGTH = 600, 8
"""Of the query refiner on rooms; the paper's clips are 16 frames long."""
PAPER_LENGTH = 16
Tick = Callable[[str, int, int], None]
"""(what, done, total)."""


def train(
    twin: Twin,
    out: Path,
    steps: int | None = None,
    rooms: int | None = None,
    maps: Path = Path("out/maps"),
    seed: int = 0,
    resume: bool = False,
    device: str = "cpu",
    tick: Tick | None = None,
    walks: Path = Path("out/walks"),
    videos: Path | None = None,
    preset: PresetName | Preset = "bundled",
    plain: bool = False,
) -> Path:
    """Train a bundled twin on rooms of the train split; returns the folder that its adapter loads.

    Args:
        steps, rooms: None: what the bundled weights were made with.
        maps: where mapped rooms are kept (clip, mllm); those that are there are not mapped again.
        walks: the same for rendered walks (cut3r, moonseg3r).
        videos: of moonseg3r: a folder of videos or recordings to learn from instead of rooms.
        preset: of moonseg3r: whose tokens, features and masks of videos it learns on.
        plain: of moonseg3r: without the distillation loss (a row of the paper's table 2).

    Started by `accelerate launch` or `torchrun`, cut3r and moonseg3r are trained by several processes together.

    Raises:
        InputError: `out` holds a run and `resume` is not asked for; another run writes to it; several processes for
            what learns in one.
    """
    check_choice("trainable", twin, get_args(Twin))
    parts = preset_named(preset)
    crew = DistributedContext(device)
    if crew.count > 1 and twin not in ("cut3r", "moonseg3r"):
        raise InputError(f"{twin} learns in one process; cut3r and moonseg3r learn in several")
    tick = tick if crew.main else None
    if crew.main and not resume and any((out / name).exists() for name in ("tokens", "depth", "clips", CHECKPOINT)):
        raise InputError(f"{out}: holds a run; --resume goes on with it")
    if twin != "moonseg3r" and (videos is not None or parts.name != "bundled" or plain):
        raise InputError(f"{twin} learns on rooms; videos, preset and plain are moonseg3r's")
    count, many = STEPS[twin] if steps is None else steps, ROOMS[twin] if rooms is None else rooms
    command = f"seg3r train {twin} --steps {count} --rooms {many} --seed {seed}"
    note = None if tick is None else lambda step, loss: tick(f"{twin} (loss {loss:.3f})", step, count)
    with sole_writer(out) if crew.main else nullcontext():
        if twin == "cut3r":
            with crew.main_first():
                rendered = rendered_walks(many, walks, tick)
            depth_steps = round(DEPTH_SHARE * count)
            return train_cut3r(
                rendered, out, depth_steps, count - depth_steps, seed, device, command=command,
                data=_described(rendered), progress=note, crew=crew,
            )
        if twin == "moonseg3r":
            with crew.main_first():
                clips, data = prepared_clips(out / "clips", many, walks, videos, parts, seed, tick)
            command += "".join((f" --videos {videos}" if videos else "", f" --preset {parts.name}", " --plain" * plain))
            return queries.train_moonseg3r(
                clips, out, count, parts.refiner_config, seed, device, distil=0.0 if plain else queries.DISTIL,
                command=command, data=data, progress=note, crew=crew,
            )
        seen = seen_rooms(many, maps, tick)
        data = f"{many} rooms of the train split from {FIRST_ROOM}, 60 frames of 320x240, noisy depth"
        if twin == "clip":
            looks = RegionBatches(seen, seed=seed)
            return train_clip(
                looks, looks.text_batch, count, out, seed, device, command=command, data=data, progress=note
            )
        talks = ChatBatches(seen, seed=seed)
        return train_mllm(
            talks.sights, talks.words, talks, count, out, seed, device, command=command, data=data, progress=note
        )


def rendered_walks(rooms: int, folder: Path, tick: Tick | None = None) -> Walks:
    """Walks through rooms of the train split."""
    return render_walks(
        split_seeds("train", rooms, FIRST_WALK), folder, progress=_named(tick, "rendering walks")
    )


def prepared_clips(
    folder: Path, rooms: int, walks: Path, videos: Path | None, preset: Preset, seed: int, tick: Tick | None = None
) -> tuple[queries.PreparedClips, str]:
    """Clips as the frozen parts of the method see them, and what they are, in words."""
    segment = preset.mask_generator() or GeometricSegmenter()
    lessons: Iterator[queries.TrainingClip]
    if videos is None:
        rendered = rendered_walks(rooms, walks, tick)
        lessons = queries.walk_clips(rendered, CLIPS, CLIP_LENGTH, seed)
        data = f"{CLIPS} clips of {CLIP_LENGTH} frames from {_described(rendered)}; their true masks"
    else:
        recordings = list(_recordings(videos))
        lessons = queries.recording_clips(recordings, segment, PAPER_LENGTH, seed)
        data = f"clips of {PAPER_LENGTH} frames from {len(recordings)} recordings; masks of the segmenter"
    note = _named(tick, "preparing clips")
    made = queries.prepare_clips(
        lessons, preset.cut3r(), preset.dense_features(), folder,
        None if note is None else lambda done: note(done, CLIPS if videos is None else done),
    )
    return made, data


def _recordings(folder: Path) -> Iterator[Source]:
    """What lies in a folder and can be opened.

    Raises:
        InputError: nothing there.
    """
    found = False
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.name.startswith("."):
            continue
        try:
            recording = open_source(str(path))
        except InputError:
            continue  # notes, licences
        found = True
        yield recording
    if not found:
        raise InputError(f"{folder}: no video and no recording in it")


def seen_rooms(rooms: int, maps: Path, tick: Tick | None = None) -> list[SeenRoom]:
    """Rooms of the train split, mapped and cut into looks: with true masks, every second one with the geometric
    segmenter's too."""
    seeds = split_seeds("train", rooms, FIRST_ROOM)
    seen = []
    for masks, chosen in (("truth", seeds), ("geometric", seeds[::2])):
        map_rooms(chosen, masks, maps / masks, _named(tick, f"mapping ({masks} masks)"))
        seen += see_rooms(chosen, maps / masks, _named(tick, "looking"))
    return seen


def _described(walks: Walks) -> str:
    return f"{len(walks.seeds)} rooms of the train split from {FIRST_WALK}, {walks.frames} frames of 192x144"


def _named(tick: Tick | None, what: str) -> Callable[[int, int], None] | None:
    return None if tick is None else lambda done, total: tick(what, done, total)
