"""What a multi-modal language model is asked, and how its answers are read. The same words for every model."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from jaxtyping import UInt8
from torch import Tensor

from seg3r.text import clean_name
from seg3r.types import Prompt

Image = UInt8[Tensor, "_ _ 3"]

NAMING = 'What is outlined? Choose from: {names}. Answer as JSON: {{"name": "..."}}, or null for none of these.'
DESCRIBING = 'What is outlined, and of what colour? Answer as JSON: {"color": "...", "name": "..."}.'
FITS = (
    "Outlined: {facts} Question: {question} Is the outlined thing an answer? "
    'Answer as JSON: {{"fits": true}} or {{"fits": false}}.'
)

AGAIN = "First {count} with the outline drawn, then the same {count} without it. "
"""Before the words, where views are shown twice (docs/opentrack3d.md, 3.10)."""

LONGEST_READ = 4000
"""Characters of a reply in which a field is looked for: whoever answers in one or two does so at once, and thousands of
brackets would take long to try."""

ARTICLES = ("the ", "a ", "an ", "some ")


def naming_prompt(images: Sequence[Image], names: Sequence[str], plain: Sequence[Image] = ()) -> Prompt:
    """Which of these is the outlined thing?

    Args:
        plain: the same views without the outline; none: the outlined ones alone, as the bundled model learnt it.
    """
    return _prompt(images, plain, NAMING.format(names=", ".join(names)))


def naming_answer(name: str | None) -> str:
    """What a model should say."""
    return json.dumps({"name": name})


def read_name(text: str, names: Sequence[str]) -> str | None:
    """The name a model chose, spelt as in the list; None for none of these, or for an answer that is not in it."""
    reply = _field(text, "name")
    if reply is None:
        quoted = re.search(r'"name"\s*:\s*"([^"]*)', text)
        reply = quoted.group(1) if quoted else text.strip().strip('."') if "{" not in text else None
    if not isinstance(reply, str):
        return None
    return same_name(reply, names)


def describing_prompt(images: Sequence[Image], plain: Sequence[Image] = ()) -> Prompt:
    """What is it, in words of the model's own?"""
    return _prompt(images, plain, DESCRIBING)


def describing_answer(color: str, name: str | None) -> str:
    """What a model should say."""
    return json.dumps({"color": color, "name": name})


def read_description(text: str) -> str | None:
    """The name it gave; None for nothing."""
    reply = _field(text, "name")
    return clean_name(reply) if isinstance(reply, str) else None


def fits_prompt(images: Sequence[Image], facts: str, question: str, plain: Sequence[Image] = ()) -> Prompt:
    """Is the outlined thing an answer to the question?"""
    return _prompt(images, plain, FITS.format(facts=facts, question=question))


def fits_answer(fits: bool) -> str:
    """What a model should say."""
    return json.dumps({"fits": fits})


def read_fits(text: str) -> bool | None:
    """Yes or no; None where it said neither."""
    reply = _field(text, "fits")
    if isinstance(reply, bool):
        return reply
    word = re.search(r"\b(true|false|yes|no)\b", text.lower())
    return None if word is None else word.group(1) in ("true", "yes")


def same_name(reply: str, names: Sequence[str]) -> str | None:
    """The one of `names` that means the same: spelt alike but for case and article, else alike in the singular."""
    for alike in (bare_name, plain_name):
        wanted = alike(reply)
        found = next((name for name in names if alike(name) == wanted), None)
        if found is not None:
            return found
    return None


def bare_name(name: str) -> str:
    """Lower case, without an article or punctuation around it."""
    bare = " ".join(name.lower().replace("_", " ").split()).strip(".,;:!?\"' ")
    for article in ARTICLES:
        bare = bare.removeprefix(article)
    return bare


def plain_name(name: str) -> str:
    """`bare_name`, singular as far as an s goes."""
    plain = bare_name(name)
    return plain[:-1] if len(plain) > 3 and plain.endswith("s") and not plain.endswith("ss") else plain


def _prompt(images: Sequence[Image], plain: Sequence[Image], text: str) -> Prompt:
    return Prompt((*images, *plain), (AGAIN.format(count=len(plain)) if plain else "") + text)


def _field(text: str, name: str) -> object:
    """A field of the first JSON object in the text that has it."""
    text = text[:LONGEST_READ]
    for start in re.finditer(r"\{", text):
        try:
            held, _ = json.JSONDecoder().raw_decode(text, start.start())
        except (ValueError, RecursionError):
            continue
        if isinstance(held, dict) and name in held:
            return held[name]
    return None
