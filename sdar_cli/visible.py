"""Text of models and recipes that a reader sees as it is, and that no terminal or browser obeys."""

from __future__ import annotations

import json
import re

_JOINED = (
    "\u0590-\u061b\u061d-\u109f\u1780-\u17b3\u17b6-\u180d\u180f-\u18af\u1900-\u1cff\ua800-\uabff\ufb50-\ufdff"
    "\ufe70-\ufefc\U00010a00-\U00011fff"
)
"""Scripts whose letters change beside a joiner: Arabic, those of India, and their like."""
_PICTURES = "\u2190-\u21ff\u2300-\u23ff\u25a0-\u27bf\u2900-\u2bff\U0001f000-\U0001faff"
_IDEOGRAPHS = "\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WITH_VARIANTS = (
    f"#*0-9\u00a9\u00ae\u1000-\u109f\u2010-\u2027\u2030-\u205e\u2070-\u22ff{_PICTURES}\u24c2\u2a00-\u2aff\u3000-\u303f"
    f"\u3297\u3299{_IDEOGRAPHS}\ua840-\ua877\uaa60-\uaa7f\uff01-\uff1f\U00010ac0-\U00010aff\U00013000-\U0001345f"
    "\U0001d49c-\U0001d4cf"
)
_TAGS = "\U000e0000-\U000e00ff"
_FLAGS = tuple(
    "\U0001f3f4" + "".join(chr(0xE0000 + ord(letter)) for letter in name) + "\U000e007f"
    for name in ("gbeng", "gbsct", "gbwls")
)
"""Of England, Scotland and Wales: the only emoji that are written with tags."""
_IN_NO_FLAG = "".join(f"(?:(?<!{flag[:at]})|(?!{flag[at:]}))" for flag in _FLAGS for at in range(2, len(flag) + 1))

UNSEEN = (
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff\ufff9-\ufffb]"
    f"|[{_TAGS}]{_IN_NO_FLAG}"
    f"|(?<![{_JOINED}])(?<![{_PICTURES}])(?<![{_PICTURES}]\ufe0f)[\u200c\u200d]"
    f"|(?<=[{_PICTURES}\ufe0f])(?:\u200c|\u200d(?![{_PICTURES}]))"
    f"|(?<![{_WITH_VARIANTS}])[\ufe00-\ufe0f]"
    f"|(?<![{_IDEOGRAPHS}])[\U000e0100-\U000e0fff]"
)
"""A regular expression: controls, what changes the direction of text, halves of surrogate pairs, and letters that a
reader does not see and a model does. Joiners and marks of a variant are such ones where no writing system and no emoji
has them; tab and line end are none."""
_HIDDEN = re.compile(f"{UNSEEN}|[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u3164\uffa0]")
"""Also blanks without width, and marks that change the direction of a letter."""


def visible(text: str) -> str:
    """The text with each hidden character written as its number: ``⟨U+202E⟩``."""
    return _HIDDEN.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", text)


def escaped(written: str) -> str:
    """JSON with each hidden character as an escape (``\\u202e``): the same values for whatever reads it."""
    return _HIDDEN.sub(lambda found: json.dumps(found[0])[1:-1], written)
