"""Rooms -> weights, one function a trainable. Every step goes on where an interrupted one stopped.

`accelerate launch` or `torchrun` let cut3r and the query refiner be trained by several processes together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import fields
from pathlib import Path

from seg3r.choices import PresetName
from seg3r.errors import InputError
from seg3r.files import check_writable
from seg3r.lock import sole_writer
from seg3r.presets.device import check_device
from seg3r.presets.mappers import preset_named
from seg3r.presets.preset import Preset
from seg3r.rooms import split_seeds
from seg3r.segment.geometric import GeometricSegmenter
from seg3r.sources import Recording, open_source
from seg3r.train import query_refiner as queries
from seg3r.train.clip import train_clip
from seg3r.train.cut3r import train_cut3r
from seg3r.train.data.room_maps import map_rooms
from seg3r.train.data.room_views import ChatBatches, RegionBatches, SeenRoom, see_rooms
from seg3r.train.data.walks import Walks, render_walks
from seg3r.train.distributed import DistributedContext
from seg3r.train.loop import CHECKPOINT
from seg3r.train.mllm import train_mllm
from seg3r.train.recipes import ClipRecipe, Cut3rRecipe, MllmRecipe, QueryRefinerRecipe, Recipe

FIRST_ROOM = 100
"""The first rooms of the train split fitted the geometric segmenter: its masks there are better than elsewhere."""
FIRST_WALK = 400
"""Walks for what learns from video."""
MAPS, WALKS = Path("out/maps"), Path("out/walks")
"""Where mapped rooms and rendered walks lie; those that are there are not made again."""
Tick = Callable[[str, int, int], None]
"""(what, done, total)."""


def clip_from_rooms(
    recipe: ClipRecipe, out: Path, *, maps: Path = MAPS, resume: bool = False, device: str = "cpu",
    tick: Tick | None = None,
) -> Path:
    """Train a small SigLIP on crops of mapped rooms; returns the folder that its adapter loads.

    Raises:
        InputError: `out` holds a run and `resume` is not asked for; a place or a device that cannot be used; another
            run that writes to `out`; several processes.
    """
    with _training(out, resume, device, maps) as context:
        _check_alone("clip", context)
        regions = RegionBatches(seen_rooms(recipe.rooms, maps, tick), seed=recipe.seed)
        return train_clip(
            regions, regions.text_batch, recipe.steps, out=out, seed=recipe.seed, device=device, peak=recipe.peak,
            warmup=recipe.warmup, text_weight=recipe.text_weight, command=_command("clip", recipe),
            data=_mapped(recipe.rooms), progress=_losses("clip", recipe.steps, tick),
        )


def mllm_from_rooms(
    recipe: MllmRecipe, out: Path, *, maps: Path = MAPS, resume: bool = False, device: str = "cpu",
    tick: Tick | None = None,
) -> Path:
    """Train a small Qwen2.5-VL on questions about mapped rooms; returns the folder that its adapter loads.

    Raises:
        InputError: as `clip_from_rooms`.
    """
    with _training(out, resume, device, maps) as context:
        _check_alone("mllm", context)
        talks = ChatBatches(seen_rooms(recipe.rooms, maps, tick), seed=recipe.seed)
        return train_mllm(
            talks.pictures, talks.words, talks, steps=recipe.steps, out=out, seed=recipe.seed, device=device,
            peak=recipe.peak, warmup=recipe.warmup, eye_steps=recipe.eye_steps, word_steps=recipe.word_steps,
            command=_command("mllm", recipe), data=_mapped(recipe.rooms),
            progress=_losses("mllm", recipe.steps, tick),
        )


def cut3r_from_walks(
    recipe: Cut3rRecipe, out: Path, *, walks: Path = WALKS, resume: bool = False, device: str = "cpu",
    tick: Tick | None = None,
) -> Path:
    """Train a small CUT3R on rendered walks; returns the folder that `load_cut3r` reads.

    Raises:
        InputError: `out` holds a run and `resume` is not asked for; a place or a device that cannot be used.
    """
    with _training(out, resume, device, walks) as context:
        tick = tick if context.main else None
        with context.main_first():
            rendered = rendered_walks(recipe.rooms, walks, tick)
        return train_cut3r(
            rendered, out, recipe.depth_steps, clip_steps=recipe.clip_steps, seed=recipe.seed, device=device,
            peak=recipe.peak, depth_warmup=recipe.depth_warmup, clip_warmup=recipe.clip_warmup,
            command=_command("cut3r", recipe), data=_described(rendered), context=context,
            progress=_losses("cut3r", recipe.depth_steps + recipe.clip_steps, tick),
        )


def query_refiner_from_clips(
    recipe: QueryRefinerRecipe, out: Path, *, walks: Path = WALKS, videos: Path | None = None,
    preset: PresetName | Preset = "bundled", resume: bool = False, device: str = "cpu", tick: Tick | None = None,
) -> Path:
    """Train MoonSeg3R's query refiner on clips; returns the folder that `load_refiner` reads.

    Args:
        videos: a folder of videos or recordings to learn from instead of walks; a segmenter finds their masks.
        preset: whose tokens, features and masks of videos it learns on.

    Raises:
        InputError: `out` holds a run and `resume` is not asked for; a place or a device that cannot be used; no video;
            weights that are not on this disk.
    """
    command = _command("query-refiner", recipe) + (f" --videos {videos}" if videos else "")
    with _training(out, resume, device, walks) as context:
        parts, tick = preset_named(preset), tick if context.main else None
        with context.main_first():
            clips, data = prepared_clips(out / "clips", recipe, walks, videos, parts, tick)
        return queries.train_query_refiner(
            clips, out, recipe.steps, config=parts.refiner_config, seed=recipe.seed, device=device, peak=recipe.peak,
            warmup=recipe.warmup, drop_tokens=recipe.drop_tokens, distil=recipe.distil, cross=recipe.cross,
            command=f"{command} --preset {parts.name}", data=data,
            progress=_losses("query-refiner", recipe.steps, tick), context=context,
        )


@contextmanager
def _training(out: Path, resume: bool, device: str, data: Path) -> Iterator[DistributedContext]:
    """The processes of a training that alone writes to `out`. All that can be refused is, before anything runs."""
    check_device(device)
    for folder in (out, data):
        if folder.is_file():
            raise InputError(f"{folder}: a file; name a folder")
        check_writable(folder, folder.absolute())
    context = DistributedContext(device)
    if context.main and not resume and any((out / name).exists() for name in ("tokens", "depth", "clips", CHECKPOINT)):
        raise InputError(f"{out}: holds a run; --resume goes on with it")
    with sole_writer(out) if context.main else nullcontext():
        yield context


def _check_alone(name: str, context: DistributedContext) -> None:
    if context.count > 1:
        raise InputError(f"{name} learns in one process; cut3r and query-refiner learn in several")


def _command(name: str, recipe: Recipe) -> str:
    """What makes the same weights again."""
    given = (f"--{field.name.replace('_', '-')} {getattr(recipe, field.name)}" for field in fields(recipe))
    return f"seg3r train {name} {' '.join(given)}"


def _losses(name: str, steps: int, tick: Tick | None) -> Callable[[int, float], None] | None:
    return None if tick is None else lambda step, loss: tick(f"{name} (loss {loss:.3f})", step, steps)


def rendered_walks(rooms: int, folder: Path, tick: Tick | None = None) -> Walks:
    """Walks through rooms of the train split."""
    return render_walks(
        split_seeds("train", rooms, FIRST_WALK), folder, progress=_named(tick, "rendering walks")
    )


def prepared_clips(
    folder: Path, recipe: QueryRefinerRecipe, walks: Path, videos: Path | None, preset: Preset, tick: Tick | None = None
) -> tuple[queries.PreparedClips, str]:
    """Clips as the frozen parts of the method see them, and what they are, in words."""
    segment = preset.mask_generator() or GeometricSegmenter()
    chosen: Iterator[queries.TrainingClip]
    if videos is None:
        rendered = rendered_walks(recipe.rooms, walks, tick)
        chosen = queries.walk_clips(rendered, recipe.clips, recipe.clip_length, recipe.seed)
        data = f"{recipe.clips} clips of {recipe.clip_length} frames from {_described(rendered)}; their true masks"
    else:
        recordings = list(_recordings(videos))
        chosen = queries.recording_clips(recordings, segment, recipe.video_clip_length, recipe.seed)
        data = f"clips of {recipe.video_clip_length} frames from {len(recordings)} recordings; masks of the segmenter"
    note = _named(tick, "preparing clips")
    made = queries.prepare_clips(
        chosen, preset.cut3r(), preset.dense_features(), folder=folder,
        progress=None if note is None else lambda done: note(done, recipe.clips if videos is None else done),
    )
    return made, data


def _recordings(folder: Path) -> Iterator[Recording]:
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
    """Rooms of the train split, mapped and cut into crops: with true masks, every second one with the geometric
    segmenter's too."""
    seeds = split_seeds("train", rooms, FIRST_ROOM)
    seen = []
    for masks, chosen in (("truth", seeds), ("geometric", seeds[::2])):
        map_rooms(chosen, masks, maps / masks, _named(tick, f"mapping ({masks} masks)"))
        seen += see_rooms(chosen, maps / masks, _named(tick, "cutting crops"))
    return seen


def _mapped(rooms: int) -> str:
    return f"{rooms} rooms of the train split from {FIRST_ROOM}, 60 frames of 320x240, noisy depth"


def _described(walks: Walks) -> str:
    return f"{len(walks.seeds)} rooms of the train split from {FIRST_WALK}, {walks.frames} frames of 192x144"


def _named(tick: Tick | None, what: str) -> Callable[[int, int], None] | None:
    return None if tick is None else lambda done, total: tick(what, done, total)
