"""The command that answers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from seg3r.choices import AnswererName, PresetName
from seg3r.cli.terminal import JsonFile, emit, say


@dataclass(frozen=True)
class Ask:
    """Which instances of a map answer a question; none where nothing fits."""

    map: Positional[Path]
    """Folder that `run` wrote."""
    question: Positional[str]
    """A name, a description or a question: "the brown chair", "something to sit on"."""
    answer: Annotated[AnswererName, arg(aliases=["--labels"])] = "nearest"
    """Who answers: the nearest text, or a multi-modal language model that knows where things stand."""
    preset: PresetName = "bundled"
    """bundled: small weights that come with the package. foundation: large ones, see `seg3r weights`."""
    chat: str | None = None
    """Another language model: a name from `seg3r weights list`, a folder, or URL#MODEL of an endpoint."""
    device: str | None = None
    """Where networks run, such as cpu or cuda:1; by default an accelerator where there is one."""
    page: Path | None = None
    """Write a page here that shows the answer in the map."""
    json: JsonFile = None
    """Write the answer here (- : to standard output)."""

    def __call__(self) -> None:
        from seg3r import api
        from seg3r.files import check_file

        if self.page is not None:
            check_file(self.page)
        result = api.ask(
            self.map, self.question, self.answer, self.preset, chat=self.chat, page=self.page, device=self.device
        )
        emit(self.json, result)
        if self.json != "-":
            for answer in result["answers"]:
                say(f"{answer['score']:.2f}  #{answer['id']}  {answer['name'] or 'unnamed'}")
            say(result["text"])
