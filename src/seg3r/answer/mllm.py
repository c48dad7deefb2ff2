"""Answers by a multi-modal language model that sees the outlined best views and reads the facts of the map
(OpenTrack3D, its stage after proposals)."""

from __future__ import annotations

import torch

from seg3r.answer.nearest import NearestAnswerer
from seg3r.describe.facts import survey, tell
from seg3r.describe.once import Once
from seg3r.label import prompts
from seg3r.label.mllm import VIEWS, put, shown
from seg3r.protocols import Chat, ImageTextEncoder
from seg3r.scene import SceneMap
from seg3r.types import Answer, Reply

MOST_ASKED = 20
"""Instances that a question is put to (docs/opentrack3d.md, D-17)."""


class MllmAnswerer:
    """SceneMap, question -> the instances of which the model says that they fit, best first."""

    def __init__(
        self, chat: Chat, shortlist: ImageTextEncoder | None = None, views: int = VIEWS, most: int = MOST_ASKED,
        plain_too: bool = False,
    ) -> None:
        """Args:
            shortlist: chooses whom to ask about where there are more than `most`.
            views: best views shown.
            most: instances that a question is put to.
            plain_too: as for `Mllm`.
        """
        self.chat, self.most = chat, most
        self.nearest = None if shortlist is None else NearestAnswerer(shortlist, views=views)
        self.shown, self.surveyed = Once(lambda scene: shown(scene, views, plain_too)), Once(survey)

    def __call__(self, scene: SceneMap, question: str) -> Answer:
        ids, names = scene.ids.tolist(), scene.names
        asked = list(range(len(ids)))
        if self.nearest is not None and len(asked) > self.most:
            fit = self.nearest.fit(scene, question)
            asked = sorted(torch.argsort(-fit, stable=True)[: self.most].tolist())
        facts, images = tell(self.surveyed(scene), names), self.shown(scene)
        replies = put(self.chat, [
            prompts.fits_prompt(images[i].outlined, facts[i], question, images[i].plain) if images[i].outlined else None
            for i in asked
        ])
        scored = [(fits_score(reply), i) for reply, i in zip(replies, asked, strict=True)]
        right = sorted(((s, i) for s, i in scored if s > 0.5), key=lambda pair: (-pair[0], pair[1]))
        text = "Nothing fits." if not right else ", ".join(f"{names[i] or 'thing'} #{ids[i]}" for _, i in right)
        named = tuple(ids[i] for _, i in right)
        return Answer(question, named, tuple(round(s, 4) for s, _ in right), text, scene.mask_of(named))


def fits_score(reply: Reply) -> float:
    """In 0..1: over one half where the model said yes; nearer to it the less sure it was."""
    fits = prompts.read_fits(reply.text)
    if fits is None:
        return 0.0
    sure = 0.5 + 0.5 * (1.0 if reply.confidence is None else reply.confidence)
    return sure if fits else 1.0 - sure
