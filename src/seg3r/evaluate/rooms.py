"""Methods on procedural rooms, with the oracle ladder: perfect masks, perfect association, perfect names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import torch

from seg3r.associate.fused import Fused
from seg3r.choices import Association, LabelerName, MaskSource
from seg3r.datasets.rooms import TrueRoom, surface_superpoints, truth_masks
from seg3r.embed.oracle import TruthIdentity
from seg3r.evaluate.run import REACH, Evaluation, MappedRecording, Progress, evaluate_maps, follow, predict
from seg3r.label.label_map import label_map
from seg3r.label.vocabulary import Vocabulary
from seg3r.mapper import Mapper
from seg3r.methods.opentrack3d import OpenTrack3DConfig
from seg3r.metrics.instance_ap import ScenePrediction
from seg3r.metrics.majority import majority_labels
from seg3r.metrics.protocol import protocol_from_classes
from seg3r.presets.language import labeler_of
from seg3r.presets.mappers import opentrack3d
from seg3r.presets.preset import Preset
from seg3r.presets.words import ROOM_WORDS
from seg3r.protocols import Labeler
from seg3r.rooms import CLASS_IDS, CLASSES, STRUCTURAL
from seg3r.scene import SceneMap
from seg3r.segment.saved import SavedMasks
from seg3r.sources import Recording

ROOM_PROTOCOL = protocol_from_classes(CLASSES[1:], STRUCTURAL)


def measure_rooms(
    rooms: Iterable[TrueRoom],
    preset: Preset,
    config: OpenTrack3DConfig | None = None,
    *,
    masks: MaskSource = "geometric",
    association: Association = "own",
    online_every: int = 0,
    labels: LabelerName | Literal["truth"] | None = None,
    vocabulary: Vocabulary | None = None,
    superpoints: bool = False,
    progress: Progress | None = None,
) -> Evaluation:
    """Instance AP of OpenTrack3D on rooms.

    Args:
        masks, association: truth: perfect ones.
        online_every: frames between two points of the online curve; 0: none. Without labels only.
        labels: who names the instances (truth: perfect names); None: class-agnostic.
        vocabulary: the words to name them with; None: the rooms' classes. A name that is no class of the rooms counts
            as wrong.
        superpoints: instances follow the superpoints of the true surface (geometry refinement).
    """
    config, words = config or OpenTrack3DConfig(), vocabulary or ROOM_WORDS
    labeler = None if labels is None or labels == "truth" else labeler_of(labels, preset)
    mapped = []
    for room in rooms:
        mapper = opentrack3d(
            preset, config,
            segment=SavedMasks(truth_masks(room.recording)) if masks == "truth" else None,
            superpoints=surface_superpoints(room.recording) if superpoints else None,
        )
        if association == "truth":
            give_identity(mapper, room.recording)
        mapped.append(_mapped(mapper, room, online_every, labels, labeler, words))
        if progress is not None:
            progress(len(mapped), sum(len(m.final) for m in mapped))
    return evaluate_maps(mapped, ROOM_PROTOCOL, labels is None, {
        "method": "opentrack3d", "preset": preset.name, "masks": masks, "association": association,
        "max_dist_m": REACH * config.voxel_m, "labels": labels,
        "vocabulary": None if labels is None else len(words.names), "superpoints": superpoints,
    })


def _mapped(
    mapper: Mapper, room: TrueRoom, online_every: int, labels: str | None, labeler: Labeler | None, words: Vocabulary
) -> MappedRecording:
    reach_m = REACH * mapper.scene.voxel_m
    predictions: dict[int, ScenePrediction] = {}

    def visit(count: int, scene: SceneMap) -> None:
        if labels is None:
            predictions[count] = predict(scene, room.truth.vertices, reach_m)
        elif labeler is None:
            lists = predict(scene, room.truth.vertices, reach_m).lists()
            classes = majority_labels(lists, room.truth.ids // 1000, least=0.0)
            predictions[count] = predict(scene, room.truth.vertices, reach_m, classes)
        else:
            named = label_map(scene, labeler, words)
            classes = [CLASS_IDS.get(name or "", 0) for name in named.names]
            predictions[count] = predict(scene, room.truth.vertices, reach_m, classes, named.scores.tolist())

    scene = follow(mapper, room.recording, online_every if labels is None else 0, visit)
    visit(scene.frames, scene)
    return MappedRecording(room.recording.name, room.truth, predictions, mapper.seconds)


def give_identity(mapper: Mapper, recording: Recording) -> None:
    """The oracle of the ladder's last rung: segments know which thing they are, and association goes by that alone."""
    read = truth_masks(recording)

    def ids(frame_index: int) -> torch.Tensor | None:
        id_map = read(frame_index)
        return None if id_map is None else id_map.ids

    mapper.embed = TruthIdentity(ids, 1000)
    mapper.associate = Fused(
        visual=0.0, overlap=0.0, identity=1.0, threshold=0.5, least_visual=None, least_contained=None, fragment=None
    )


def room_settings(
    split: str, depth: str, rooms: int, frames: int, size: tuple[int, int], start: int
) -> dict[str, object]:
    """What tells one measurement on rooms from another."""
    return {
        "split": split, "depth": depth, "rooms": rooms, "frames": frames, "size": f"{size[1]}x{size[0]}",
        "start": start,
    }
