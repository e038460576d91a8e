"""Text of models and recipes that a reader sees as it is, and that no browser obeys."""

from __future__ import annotations

import re

_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u115f\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ud800-\udfff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
"""Controls, invisible and direction-changing characters, and halves of surrogate pairs; not tab and line end."""


def visible(text: str) -> str:
    """The text with each hidden character written as its number: ``⟨U+202E⟩``."""
    return _HIDDEN.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", text)
