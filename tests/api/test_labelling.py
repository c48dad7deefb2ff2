"""Which labeler, over which words, and what it does to a map."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from seg3r.api.labelling import (
    ROOM_WORDS,
    Namer,
    VotedWords,
    answers_folder,
    ask,
    chat_of,
    encoder_of,
    label_map,
    namer_for,
    said,
    shows_plain,
    weights_listed,
    words_called,
)

from seg3r.api import labelling
from seg3r.datasets import DATASETS
from seg3r.errors import InputError
from seg3r.label.mllm import Mllm
from seg3r.label.nearest import Nearest
from seg3r.label.vocabulary import Vocabulary
from seg3r.language.cache import Cached
from seg3r.protocols import Chat
from seg3r.rooms import CLASSES
from seg3r.scene import SceneMap
from seg3r.types import Labels, Prompt, Reply
from seg3r.weights import HOME, REGISTRY
from tests.label.seen import ColorEncoder, map_of, place_of
from tests.maps import table_map
from tests.worlds import BoxWorld

LOW = np.array([[-3, -3, -0.1], [-1.3, -0.3, 0.0], [-0.3, -0.3, 0.0], [0.7, -0.3, 0.0]])
HIGH = np.array([[3, 3, 0.0], [-0.7, 0.3, 0.5], [0.3, 0.3, 0.5], [1.3, 0.3, 0.5]])
RED, BLUE, GREEN = 2, 3, 4


@pytest.fixture(autouse=True)
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of who runs the tests: no weights, no replies, no key."""
    for name in (HOME, "HF_HOME", "HF_HUB_CACHE", "SEG3R_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.delenv(labelling.KEY_VARIABLE, raising=False)


@pytest.fixture(scope="module")
def mapped() -> SceneMap:
    return map_of(BoxWorld(LOW, HIGH), ("grey", "red", "blue", "green"))


@pytest.fixture
def scene(mapped: SceneMap) -> SceneMap:
    return mapped.copy()


def one_line(error: pytest.ExceptionInfo[InputError]) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


# ---- words -----------------------------------------------------------------------------------------------------------


def test_the_rooms_words_are_their_things() -> None:
    words = words_called("rooms")
    assert words == ROOM_WORDS and set(words.names) < set(CLASSES[1:])
    assert "chair" in words.names and not {"wall", "floor", "ceiling"} & set(words.names)


@pytest.mark.parametrize("name", list(DATASETS))
def test_the_words_of_every_data_set_are_words(name: str) -> None:
    words = words_called(name)
    assert words.names == DATASETS[name].protocol.phrases
    assert [words.name_of(word) for word in words.names] == list(words.names)


def test_words_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "my words.txt"
    path.write_text("sofa, couch\nlamp\n")
    words = words_called(str(path))
    assert (words.names, words.words) == (("sofa", "lamp"), ("sofa", "lamp", "couch"))


@pytest.mark.parametrize("name", ["scannet300", "", "no/such/file.txt", "."])
def test_words_that_are_nowhere(name: str) -> None:
    with pytest.raises(InputError, match="neither a file nor one of rooms, scannet200") as error:
        words_called(name)
    assert repr(name) in one_line(error)


# ---- who names -------------------------------------------------------------------------------------------------------


@pytest.fixture
def colours(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """An encoder that knows colours in the place of the trained one; the presets that were asked for."""
    asked: list[str] = []

    def encoder(preset: str, device: str | None = None) -> ColorEncoder:
        asked.append(preset)
        return ColorEncoder()

    monkeypatch.setattr(labelling, "encoder_of", encoder)
    return asked


class Mute:
    """A model that says nothing."""

    name = "mute"

    def __call__(self, prompts: Sequence[Prompt]) -> list[Reply]:
        return [Reply("", 1.0) for _ in prompts]


WORDS = Vocabulary(("red box", "blue box"))


def test_names_that_came_with_the_masks_are_kept_where_nothing_was_asked() -> None:
    assert namer_for(None, None) is None
    assert namer_for(None, None, "foundation") is None


def test_words_alone_take_the_names_of_the_masks_or_else_the_nearest_text(colours: list[str]) -> None:
    """Masks may come without names: that is seen when the map is there."""
    namer, scene = namer_for(None, WORDS), table_map(4, "red box")
    assert isinstance(namer, Namer)
    named = namer(scene, WORDS.words)
    assert colours == [] and set(named.names) == {"red box"}
    for instance_id in scene.ids.tolist():
        scene.name_votes.pop(instance_id, None)
    assert len(namer(scene, WORDS.words).names) == len(scene)
    assert namer.chances(scene, WORDS.words).shape == (len(scene), 2)
    assert set(colours) == {"bundled"}


def test_a_model_that_nobody_would_ask_is_refused() -> None:
    for labels in (None, "nearest"):
        with pytest.raises(InputError, match="only with --labels mllm") as error:
            namer_for(labels, WORDS, model="qwen3-vl-4b")
        one_line(error)


def test_what_is_asked_for_is_given(colours: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    models: list[tuple[str, str | None]] = []

    def chat(preset: str, model: str | None = None, device: str | None = None) -> Mute:
        models.append((preset, model))
        return Mute()

    monkeypatch.setattr(labelling, "chat_of", chat)
    assert isinstance(namer_for("votes", None), VotedWords)
    assert isinstance(namer_for("nearest", WORDS), Nearest)
    for words in (None, WORDS):
        namer = namer_for("mllm", words, "foundation", "other")
        assert isinstance(namer, Mllm) and namer.nearest is not None
    assert set(models) == {("foundation", "other")} and set(colours) == {"bundled", "foundation"}
    assert all(isinstance(n, Namer) for n in (namer, Votes(), Nearest(ColorEncoder())))


def test_only_models_of_others_see_views_twice(tmp_path: Path) -> None:
    assert shows_plain("foundation") and not shows_plain("bundled")
    assert shows_plain("bundled", "qwen3-vl-4b") and shows_plain("foundation", "http://127.0.0.1:8000/v1#qwen3-vl")
    (tmp_path / "card.json").write_text("{}")  # as `seg3r train mllm` writes it
    assert not shows_plain("foundation", str(tmp_path)) and not shows_plain("bundled", str(labelling.BUNDLED / "mllm"))


def test_the_nearest_text_needs_texts() -> None:
    with pytest.raises(InputError, match="--labels nearest needs --vocabulary") as error:
        namer_for("nearest", None)
    one_line(error)


def test_weights_that_are_not_there_are_named() -> None:
    with pytest.raises(InputError, match=r"weights fetch siglip2-base") as error:
        encoder_of("foundation", "cpu")
    one_line(error)
    with pytest.raises(InputError, match=r"weights fetch qwen2\.5-vl-7b") as error:
        chat_of("foundation", device="cpu")
    one_line(error)
    with pytest.raises(InputError, match="no-such-model") as error:
        chat_of("bundled", "no-such-model", "cpu")
    one_line(error)
    listed = weights_listed()
    assert [each["name"] for each in listed] == list(REGISTRY) and not any(each["here"] for each in listed)


def test_a_model_behind_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    chat = chat_of("bundled", "http://127.0.0.1:9/v1#my-vl")
    assert isinstance(chat, Cached) and isinstance(chat, Chat)
    assert chat.name.startswith("my-vl@") and chat.folder == answers_folder()
    assert chat.chat.key_variable is None
    monkeypatch.setenv(labelling.KEY_VARIABLE, "secret")
    keyed = chat_of("bundled", "http://127.0.0.1:9/v1#my-vl")
    assert keyed.chat.key_variable == labelling.KEY_VARIABLE and "secret" not in keyed.name
    with pytest.raises(InputError, match=r"name the model after a #, as in http://127\.0\.0\.1:9/v1#") as error:
        chat_of("bundled", "http://127.0.0.1:9/v1")
    one_line(error)


def test_replies_are_kept_where_the_user_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEG3R_CACHE", str(tmp_path / "mine"))
    assert answers_folder() == tmp_path / "mine" / "answers"
    monkeypatch.delenv("SEG3R_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert answers_folder() == tmp_path / "xdg" / "seg3r" / "answers"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert answers_folder() == tmp_path / "home" / ".cache" / "seg3r" / "answers"
    monkeypatch.setenv("SEG3R_CACHE", "")  # as good as not set
    assert answers_folder() == tmp_path / "home" / ".cache" / "seg3r" / "answers"
    assert not list(tmp_path.rglob("answers"))  # nothing is made before there is something to keep


# ---- naming a map ----------------------------------------------------------------------------------------------------


class Says:
    """A namer with fixed answers."""

    def __init__(self, names: Sequence[str | None], scores: Sequence[float]) -> None:
        self.labels, self.asked = Labels(tuple(names), torch.tensor(scores)), None

    def __call__(self, scene: SceneMap, vocabulary: Sequence[str]) -> Labels:
        self.asked = tuple(vocabulary)
        return self.labels

    def chances(self, scene: SceneMap, vocabulary: Sequence[str]) -> torch.Tensor:
        return torch.zeros(len(scene), len(vocabulary))


def test_labels_stand_beside_the_votes() -> None:
    scene = table_map()
    ids, votes = scene.ids.tolist(), {i: dict(v) for i, v in scene.name_votes.items()}
    namer = Says(("couch", None, "lamp", "sofa"), (0.9, 0.8, 0.123456, 0.0))
    words = Vocabulary(("sofa", "lamp"), (("couch",), ()))
    labels = label_map(scene, namer, words)
    assert namer.asked == ("sofa", "lamp", "couch")
    assert labels.names == ("sofa", None, "lamp", "sofa") and torch.equal(labels.scores, namer.labels.scores)
    assert list(scene.names) == ["sofa", None, "lamp", "sofa"]
    scores = [0.9, 0.8, 0.123456, 0.0]
    assert [scene.name_labels[i] for i in ids] == [
        (name, pytest.approx(score)) for name, score in zip(scene.names, scores, strict=True)
    ]
    assert scene.name_votes == votes != {}
    again = label_map(scene, Votes(), None)  # by the votes, which the first labelling did not touch
    assert list(again.names) == [next(iter(votes[i])) for i in ids] == list(scene.names)


def test_without_a_vocabulary_the_words_are_the_namers_own() -> None:
    scene = table_map()
    namer = Says(("Louis XV chair", None, "thing", "x"), (1.0, 0.0, 0.5, 0.5))
    assert label_map(scene, namer, None).names == ("Louis XV chair", None, "thing", "x")
    assert namer.asked == () and list(scene.names) == ["Louis XV chair", None, "thing", "x"]


def test_labels_survive_on_disk(tmp_path: Path) -> None:
    scene = table_map()
    label_map(scene, Says(("sofa", None, "lamp", "sofa"), (0.9, 0.8, 0.7, 0.6)), None)
    scene.save(tmp_path / "scene.safetensors")
    again = SceneMap.load(tmp_path / "scene.safetensors")
    assert again.name_votes == scene.name_votes and again.names == scene.names == ("sofa", None, "lamp", "sofa")
    assert again.name_labels == scene.name_labels


def test_votes_as_probabilities_agree_with_the_votes() -> None:
    scene = table_map()
    ids = scene.ids.tolist()
    scene.name_votes.update({
        ids[0]: {"sofa": 2.0, "the Sofas": 1.0, "lamp": 1.0}, ids[1]: {"lamp": 3.0, "elephant": 1.0}, ids[2]: {},
    })
    scene.name_votes.pop(ids[3])
    words = ("lamp", "sofa", "chair")
    table, labels = Votes().chances(scene, words), Votes()(scene, words)
    assert table.tolist() == [[0.25, 0.75, 0.0], [0.75, 0.0, 0.0], [0.0] * 3, [0.0] * 3]
    assert torch.equal(table.max(1).values, labels.scores)
    assert labels.names == ("sofa", "lamp", None, None)


def test_looks_name_a_map(scene: SceneMap) -> None:
    rows = [place_of(scene, truth) for truth in (RED, BLUE, GREEN)]
    label_map(scene, Nearest(ColorEncoder(), least=0.5), WORDS)
    names = scene.names
    assert [names[row] for row in rows] == ["red box", "blue box", None]


# ---- asking ----------------------------------------------------------------------------------------------------------


def test_a_question_to_a_map_on_disk(scene: SceneMap, colours: list[str], tmp_path: Path) -> None:
    red = scene.ids.tolist()[place_of(scene, RED)]
    label_map(scene, Nearest(ColorEncoder(), least=0.5), WORDS)
    scene.save(tmp_path / "scene.safetensors")
    answer = ask(tmp_path, "the red box")
    assert set(answer) == {"question", "answers", "text", "points", "mask"} and answer["question"] == "the red box"
    (found,) = answer["answers"]
    assert (found["id"], found["name"]) == (red, "red box") and 0.5 <= found["score"] <= 1
    assert answer["text"] == f"red box #{red}."
    nothing = ask(tmp_path, "the purple hat")
    assert nothing["answers"] == [] and nothing["text"] == "Nothing fits."


@pytest.mark.parametrize("question", ["", "  \n\t"])
def test_no_question(question: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="an empty question") as error:
        ask(tmp_path, question)
    one_line(error)


def test_no_map(tmp_path: Path, colours: list[str]) -> None:
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(InputError, match=r"scene\.safetensors") as error:
            ask(folder, "the chair")
        one_line(error)
    (tmp_path / "scene.safetensors").write_bytes(b"no map")
    with pytest.raises(InputError, match=r"scene\.safetensors") as error:
        ask(tmp_path, "the chair")
    one_line(error)
    assert colours == []  # no model is loaded for a map that is not there


def test_an_answer_in_one_line() -> None:
    one = {"id": 4, "score": 0.9, "name": "lamp"}
    assert said([]) == "Nothing fits."
    assert said([one]) == "lamp #4."
    assert said([{**one, "name": None}, one, one]) == "Instance #4 and 2 more."
