"""Who names and who answers: with which weights, over which words."""

from __future__ import annotations

from pathlib import Path

import pytest

from seg3r.answer.mllm import MllmAnswerer
from seg3r.answer.nearest import NearestAnswerer
from seg3r.errors import InputError
from seg3r.label.mllm import Mllm
from seg3r.label.nearest import Nearest
from seg3r.label.vocabulary import Vocabulary
from seg3r.label.votes import Votes, VotesElse
from seg3r.language.cache import Cached
from seg3r.presets import language
from seg3r.presets.bundled import Bundled
from seg3r.presets.foundation import Foundation
from seg3r.presets.language import (
    KEY_VARIABLE,
    LazyAnswerer,
    answerer_of,
    chat_of,
    labeler_for,
    labeler_of,
    replies_folder,
)
from seg3r.protocols import Answerer, Chat, Labeler
from seg3r.weights.disk import HOME
from tests.maps import table_map
from tests.seen import RED, Colored, Colours, boxes, place_of, unnamed

WORDS = Vocabulary(("red box", "blue box"))


@pytest.fixture(autouse=True)
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of who runs the tests: no weights, no replies, no key."""
    for name in (HOME, "HF_HOME", "HF_HUB_CACHE", "SEG3R_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.delenv(KEY_VARIABLE, raising=False)


def one_line(error: pytest.ExceptionInfo[InputError]) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


# ---- who names -------------------------------------------------------------------------------------------------------


def test_names_that_came_with_the_masks_are_kept_where_nothing_was_asked() -> None:
    assert labeler_for(None, None, Bundled()) is None
    assert labeler_for(None, None, Foundation()) is None


def test_words_alone_take_the_names_of_the_masks_or_else_the_nearest_text() -> None:
    """Masks may come without names: that is seen when the map is there."""
    preset = Colours()
    labeler, scene = labeler_for(None, WORDS, preset), table_map(4, "red box")
    assert isinstance(labeler, VotesElse) and isinstance(labeler, Labeler)
    named = labeler(scene, WORDS.words)
    assert preset.loaded == [] and set(named.names) == {"red box"}
    for instance_id in scene.ids.tolist():
        scene.name_votes.pop(instance_id, None)
    assert len(labeler(scene, WORDS.words).names) == len(scene)
    assert labeler.probabilities(scene, WORDS.words).shape == (len(scene), 2)
    assert preset.loaded == ["encoder"]


@pytest.mark.parametrize("name", [None, "votes", "nearest"])
def test_a_model_that_nobody_would_ask_is_refused(name: language.LabelerName | None) -> None:
    preset = Colours()
    with pytest.raises(InputError, match="qwen3-vl-4b is asked only by the labeler or answerer mllm") as error:
        labeler_for(name, WORDS, preset, "qwen3-vl-4b")
    one_line(error)
    with pytest.raises(InputError, match="qwen3-vl-4b is asked only by the labeler or answerer mllm"):
        answerer_of("nearest", preset, "qwen3-vl-4b")
    assert preset.loaded == []


def test_what_is_asked_for_is_given() -> None:
    preset = Colours()
    assert isinstance(labeler_for("votes", None, preset), Votes) and preset.loaded == []
    assert isinstance(labeler_for("nearest", WORDS, preset), Nearest) and preset.loaded == ["encoder"]
    for words in (None, WORDS):
        labeler = labeler_for("mllm", words, preset)
        assert isinstance(labeler, Mllm) and labeler.nearest is not None and labeler.chat is preset.told
    assert all(isinstance(labeler_of(name, preset), Labeler) for name in ("votes", "nearest", "mllm"))
    answerer = answerer_of("mllm", preset)
    assert isinstance(answerer, MllmAnswerer) and answerer.chat is preset.told
    assert isinstance(answerer_of("nearest", preset), NearestAnswerer)
    assert all(isinstance(answerer_of(name, preset), Answerer) for name in ("nearest", "mllm"))


def test_another_model_takes_the_place_of_the_presets(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str | None]] = []
    other = Colored()

    def chat(model: str, device: str | None = None) -> Colored:
        asked.append((model, device))
        return other

    monkeypatch.setattr(language, "chat_of", chat)
    preset = Colours(device="meta")
    labeler, answerer = labeler_of("mllm", preset, "other"), answerer_of("mllm", preset, "other")
    assert isinstance(labeler, Mllm) and isinstance(answerer, MllmAnswerer)
    assert labeler.chat is answerer.chat is other and asked == [("other", "meta")] * 2  # on the same device
    assert preset.loaded == ["encoder", "encoder"]


def views_shown(preset: Colours, model: str | None) -> set[bool]:
    """Whether views came once more without the outline, by labeler and answerer."""
    prompts = preset.told.prompts
    labeler_of("mllm", preset, model)(boxes(), WORDS.words)
    answerer_of("mllm", preset, model)(boxes(), "everything red")
    assert len(prompts) == 2 * len(boxes())
    return {prompt.text.startswith("First ") for prompt in prompts}


def test_only_models_of_others_see_views_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Foundation().plain_views and not Bundled().plain_views
    assert views_shown(Colours(), None) == {False} and views_shown(Colours(plain_views=True), None) == {True}
    (tmp_path / "card.json").write_text("{}")  # as `seg3r train mllm` writes it
    for model, plain in (
        ("qwen3-vl-4b", True), ("http://127.0.0.1:8000/v1#qwen3-vl", True), (str(tmp_path), False),
        (str(tmp_path / "elsewhere"), True),
    ):
        preset = Colours(plain_views=not plain)
        monkeypatch.setattr(language, "chat_of", lambda model, device, told=preset.told: told)
        assert views_shown(preset, model) == {plain}, model


def test_the_bundled_model_brings_the_card_by_which_it_is_known() -> None:
    from seg3r.weights.bundled import bundled

    assert (bundled("mllm") / "card.json").is_file()


def test_the_nearest_text_needs_texts() -> None:
    with pytest.raises(InputError, match="labels: nearest needs a vocabulary") as error:
        labeler_for("nearest", None, Colours())
    one_line(error)


@pytest.mark.parametrize(("make", "words"), [
    (labeler_of, "votes, nearest, mllm"), (answerer_of, "nearest, mllm"),
])
def test_a_misspelt_word_is_named(make: object, words: str) -> None:
    """Below the types: what a person's program does that no checker has read."""
    plain = getattr(make, "__wrapped__", make)
    with pytest.raises(InputError, match=f"'nearset' is none of {words}") as error:
        plain("nearset", Colours())
    one_line(error)


# ---- with which weights ----------------------------------------------------------------------------------------------


def test_weights_that_are_not_there_are_named() -> None:
    with pytest.raises(InputError, match=r"weights fetch siglip2-base") as error:
        labeler_of("nearest", Foundation("cpu"))
    one_line(error)
    with pytest.raises(InputError, match=r"weights fetch qwen2\.5-vl-7b") as error:
        labeler_of("mllm", Foundation("cpu"))
    one_line(error)
    with pytest.raises(InputError, match="no-such-model") as error:
        answerer_of("mllm", Bundled("cpu"), "no-such-model")
    one_line(error)


def test_a_model_behind_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    chat = chat_of("http://127.0.0.1:9/v1#my-vl")
    assert isinstance(chat, Cached) and isinstance(chat, Chat)
    assert chat.name.startswith("my-vl@") and chat.folder == replies_folder()
    assert chat.chat.key_variable is None  # type: ignore[attr-defined]
    monkeypatch.setenv(KEY_VARIABLE, "secret")
    keyed = chat_of("http://127.0.0.1:9/v1#my-vl")
    assert isinstance(keyed, Cached)
    assert keyed.chat.key_variable == KEY_VARIABLE and "secret" not in keyed.name  # type: ignore[attr-defined]
    with pytest.raises(InputError, match=r"name the model after a #, as in http://127\.0\.0\.1:9/v1#") as error:
        chat_of("http://127.0.0.1:9/v1")
    one_line(error)


def test_replies_are_kept_where_the_user_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEG3R_CACHE", str(tmp_path / "mine"))
    assert replies_folder() == tmp_path / "mine" / "answers"
    monkeypatch.delenv("SEG3R_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert replies_folder() == tmp_path / "xdg" / "seg3r" / "answers"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert replies_folder() == tmp_path / "home" / ".cache" / "seg3r" / "answers"
    monkeypatch.setenv("SEG3R_CACHE", "")  # as good as not set
    assert replies_folder() == tmp_path / "home" / ".cache" / "seg3r" / "answers"
    assert not list(tmp_path.rglob("answers"))  # nothing is made before there is something to keep


def test_a_mappers_answerer_loads_its_weights_with_the_first_question() -> None:
    preset = Colours()
    answerer, scene = LazyAnswerer(preset), unnamed(boxes())
    assert isinstance(answerer, Answerer) and preset.loaded == []
    red = scene.ids.tolist()[place_of(boxes(), RED)]
    assert red in answerer(scene, "everything that is red").instance_ids
    answerer(scene, "everything that is blue")
    assert preset.loaded == ["encoder"], "once"
