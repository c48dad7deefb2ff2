"""Commands about weights: making small ones, fetching large ones."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, subcommand

from seg3r.choices import PresetName
from seg3r.cli.terminal import JsonFile, Steps, Switch, emit, say
from seg3r.train.recipes import ClipRecipe, Cut3rRecipe, MllmRecipe, QueryRefinerRecipe


@dataclass(frozen=True)
class Train(ABC):
    """What all trainings share."""

    out: Path
    """Folder of the run; its `model/` is what is loaded."""
    device: str = "cpu"
    """Such as cuda."""
    resume: Switch = False
    """Go on with the run in --out."""

    def __call__(self) -> None:
        with Steps() as tick:
            made = self.trained(tick)
        say(f"{made}: trained; its card.json says how")

    @abstractmethod
    def trained(self, tick: Any) -> Path:
        """The folder of the weights."""


@dataclass(frozen=True)
class TrainClip(Train):
    """A small SigLIP, images and phrases in one space, on crops of procedural rooms."""

    maps: Path = Path("out/maps")
    """Where mapped rooms are kept for the next training."""
    recipe: ClipRecipe = field(default_factory=ClipRecipe)

    def trained(self, tick: Any) -> Path:
        from seg3r.api.train import clip_from_rooms

        return clip_from_rooms(
            self.recipe, self.out, maps=self.maps, resume=self.resume, device=self.device, tick=tick
        )


@dataclass(frozen=True)
class TrainMllm(Train):
    """A small Qwen2.5-VL, a multi-modal language model, on questions about procedural rooms."""

    maps: Path = Path("out/maps")
    """Where mapped rooms are kept for the next training."""
    recipe: MllmRecipe = field(default_factory=MllmRecipe)

    def trained(self, tick: Any) -> Path:
        from seg3r.api.train import mllm_from_rooms

        return mllm_from_rooms(
            self.recipe, self.out, maps=self.maps, resume=self.resume, device=self.device, tick=tick
        )


@dataclass(frozen=True)
class TrainCut3r(Train):
    """A small CUT3R, camera and depth of a single video, on walks through procedural rooms."""

    walks: Path = Path("out/walks")
    """Where rendered walks are kept for the next training."""
    steps: int | None = None
    """Steps in all, shared out as --depth-steps and --clip-steps are."""
    recipe: Cut3rRecipe = field(default_factory=Cut3rRecipe)

    @property
    def asked(self) -> Cut3rRecipe:
        """The recipe with --steps."""
        return self.recipe if self.steps is None else self.recipe.of_steps(self.steps)

    def trained(self, tick: Any) -> Path:
        from seg3r.api.train import cut3r_from_walks

        return cut3r_from_walks(
            self.asked, self.out, walks=self.walks, resume=self.resume, device=self.device, tick=tick
        )


@dataclass(frozen=True)
class TrainQueryRefiner(Train):
    """The query refiner of MoonSeg3R, on clips whose masks nobody named."""

    walks: Path = Path("out/walks")
    """Where rendered walks are kept for the next training."""
    videos: Path | None = None
    """A folder of videos or recordings to learn from instead of rooms; a segmenter finds their masks."""
    preset: PresetName = "bundled"
    """Whose tokens and features it learns on."""
    plain: Switch = False
    """Without the distillation loss, a row of the ablation: the same as --distil 0."""
    recipe: QueryRefinerRecipe = field(default_factory=QueryRefinerRecipe)

    @property
    def asked(self) -> QueryRefinerRecipe:
        """The recipe with --plain."""
        return replace(self.recipe, distil=0.0) if self.plain else self.recipe

    def trained(self, tick: Any) -> Path:
        from seg3r.api.train import query_refiner_from_clips

        return query_refiner_from_clips(
            self.asked, self.out, walks=self.walks, videos=self.videos, preset=self.preset, resume=self.resume,
            device=self.device, tick=tick,
        )


TRAININGS: Mapping[str, type[Train]] = {
    "clip": TrainClip, "mllm": TrainMllm, "cut3r": TrainCut3r, "query-refiner": TrainQueryRefiner,
}


def train(
    what: Annotated[TrainClip, subcommand("clip")]
    | Annotated[TrainMllm, subcommand("mllm")]
    | Annotated[TrainCut3r, subcommand("cut3r")]
    | Annotated[TrainQueryRefiner, subcommand("query-refiner")],
) -> Train:
    """Train small weights on procedural rooms, by default as the bundled ones were made; an interrupted training goes
    on with --resume."""
    return what


@dataclass(frozen=True)
class WeightsList:
    """Names of large weights, their licences, and which are on this disk."""

    json: JsonFile = None
    """Write it here as JSON (- : to standard output)."""

    def __call__(self) -> None:
        from seg3r import weights

        rows = weights.listed()
        emit(self.json, {"weights": rows})
        if self.json is None:
            for row in rows:
                here = "here" if row["here"] else "    "
                say(f"{row['name']:24} {row['use']:10} {row['megabytes']:6} MB  {here}  {row['licence']}")


@dataclass(frozen=True)
class WeightsFetch:
    """Download weights (safetensors only) and verify every file against the hub's own checksums."""

    name: Positional[str]
    """From `seg3r weights list`."""

    def __call__(self) -> None:
        from seg3r import weights

        say(f"{self.name}: {weights.fetch(self.name)}")


@dataclass(frozen=True)
class WeightsCheck:
    """Are fetched weights whole, and still what was fetched? Offline."""

    name: Positional[str]
    """From `seg3r weights list`."""

    def __call__(self) -> None:
        from seg3r import weights
        from seg3r.errors import InputError

        report = weights.check(self.name)
        if report.folder is None:
            weights.where(self.name)
        if report.problems:
            raise InputError(f"{report.folder}: {'; '.join(report.problems)}")
        say(f"{report.folder}: {report.bytes / 1e6:.0f} MB, {report.proven} files proven by their checksums")


@dataclass(frozen=True)
class WeightsConvert:
    """Turn a PyTorch checkpoint into safetensors without running any code that lies in it."""

    file: Positional[Path]
    """A .pth, .pt or .bin file."""
    out: Path | None = None
    """By default beside it, with the suffix .safetensors."""
    name: str | None = None
    """Of the registry, for weights whose authors hand out a pickle only: they go where they are looked for."""

    def __call__(self) -> None:
        from seg3r import weights
        from seg3r.files import check_file
        from seg3r.weights.convert import convert

        folder = None if self.name is None else weights.place(self.name)
        out = self.out or (self.file.with_suffix(".safetensors") if folder is None else folder / "model.safetensors")
        check_file(out)
        count = convert(self.file, out)
        if folder is not None:
            weights.describe(folder)
        say(f"{out}: {count} tensors")


def weights(
    what: Annotated[WeightsList, subcommand("list")]
    | Annotated[WeightsFetch, subcommand("fetch")]
    | Annotated[WeightsCheck, subcommand("check")]
    | Annotated[WeightsConvert, subcommand("convert")],
) -> WeightsList | WeightsFetch | WeightsCheck | WeightsConvert:
    """Large weights of others: list, fetch, check, convert. None is shipped with seg3r."""
    return what
