"""What an examination finds: a subject, how it stands, and one remedy where something is to be done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "absent", "problem"]
"""``absent``: not there, and needed only for some recipes."""


@dataclass(frozen=True, slots=True)
class Finding:
    subject: str
    verdict: Verdict
    found: str
    remedy: str = ""


def from_sentence(subject: str, sentence: str) -> Finding:
    """A problem from an error's sentence, whose remedy stands behind its last colon."""
    found, colon, remedy = " ".join(sentence.split()).rpartition(": ")
    return Finding(subject, "problem", found, remedy) if colon else Finding(subject, "problem", remedy, remedy)
