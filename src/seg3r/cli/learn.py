"""Commands about weights: making small ones, fetching large ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, subcommand

from seg3r.cli.terminal import JsonFile, Steps, emit, say


@dataclass(frozen=True)
class Train:
    """Train small bundled weights on procedural rooms; an interrupted training goes on with --resume."""

    twin: Positional[Literal["clip", "mllm", "cut3r", "moonseg3r"]]
    """clip: crops and phrases in one space. mllm: a multi-modal language model. cut3r: camera and depth of a single
    video. moonseg3r: the query refiner."""
    out: Path
    """Folder of the run; its `model/` is what is loaded."""
    steps: int | None = None
    """By default what the bundled weights were made with."""
    rooms: int | None = None
    """Of the train split; mapping or rendering them is the first step. By default as for the bundled weights."""
    maps: Path = Path("out/maps")
    """Where mapped rooms are kept for the next training (clip, mllm)."""
    walks: Path = Path("out/walks")
    """Where rendered walks are kept (cut3r, moonseg3r)."""
    videos: Path | None = None
    """A folder of videos or recordings to learn from instead of rooms (moonseg3r); a segmenter finds their masks."""
    preset: Literal["bundled", "foundation"] = "bundled"
    """Whose tokens and features the query refiner learns on."""
    plain: bool = False
    """Without the distillation loss: a row of the ablation (moonseg3r)."""
    seed: int = 0
    """Of weights and samples."""
    device: str = "cpu"
    """Such as cuda."""
    resume: bool = False
    """Go on with the run in --out."""

    def __call__(self) -> None:
        from seg3r.train.recipes import train  # apart from the rest of the api: nobody else needs it

        with Steps() as tick:
            made = train(
                self.twin, self.out, self.steps, self.rooms, self.maps, self.seed, self.resume, self.device, tick,
                self.walks, self.videos, self.preset, self.plain,
            )
        say(f"{made}: trained; its card.json says how")


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
        from seg3r.weights.convert import convert

        folder = None if self.name is None else weights.place(self.name)
        out = self.out or (self.file.with_suffix(".safetensors") if folder is None else folder / "model.safetensors")
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
