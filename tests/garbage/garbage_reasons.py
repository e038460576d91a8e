"""Why an input is refused: what a sentence must say of each class of damage."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from garbage_put import of_put

_JSON = r"is not (?:valid )?JSON|\(not JSON"
_OBJECT = r"is no(?:t an?| JSON) object|holds no (?:keys|JSON object)|does not hold (?:keys|a )|has no front matter"
_WRONG = r"is damaged|is malformed \((?:its|a|the) |not what it should be"

REASONS: Mapping[str, str] = {
    "cut": rf"{_JSON}|cut short|ends in the middle|not as long as it was written",
    "flip": r"is damaged|has changed since it was written",
    "encoding": r"not UTF-8",
    "surrogate": r"half of a (?:surrogate pair|character)|holds the character U\+D[89A-F]",
    "control": r"holds the (?:control )?character U\+|special characters are not allowed|Invalid control character|"
    r"holds a NUL character",
    "depth": r"nested (?:deeper|too deeply)",
    "size": r"larger than|longer than|more than|has \d+ letters",
    "bomb": r"more than|repeats itself through anchors too often",
    "type": rf"has no '|has .* in '.*', (?:which|not)|{_OBJECT}|{_WRONG}",
    "number": r"not a number of JSON|no JSON number|number (?:that is too large|of thousands of digits|beyond)",
    "missing": r"is missing|(?:has|holds) no |lacks |does not exist",
    "unknown": r"there is no key|has the unknown key",
    "misspelt": r"there is no key '|has the unknown key",
    "duplicate": r"twice",
    "empty": rf"{_JSON}|{_OBJECT}",
    "escape": r"leads? out of|outside|leaves",
    "edited": r"was edited",
    "code": r"uses the YAML tag",
}
"""Class → what a sentence says of it, for most kinds."""

_MUST = r" (?:is|are) \S.*, (?:but|so it) must be "
_YAML = {
    "type": rf"{_MUST}|{_OBJECT}",
    "number": rf"{_MUST}|{REASONS['number']}",
    "control": rf"{REASONS['control']}|there is no key '",  # a line's end that YAML takes for one
    "size": rf"{REASONS['size']}|could not find expected ':'",  # a key that YAML reads as words
    "mixed": rf"not UTF-8|is not valid YAML|{REASONS['depth']}",
    "unknown": rf"{REASONS['unknown']}|has a key of \d+ letters",
}
_UNMARKED = r"\(its? (?:sdar_export\.json )?(?:is not of format 1|has no (?:files|size of|SHA-256 of|mark of))"
_NOT_WRITTEN = r"which the export there did not write, or not as it is now"
_NO_STATE = r"it has no state of the retrieval"
_EPISODE = r"is no recorded episode \("
_STORED = r"store\.sqlite is (?:damaged|not as long)|index is damaged|holds another|is not what was written"

OWN: Mapping[str, Mapping[str, str]] = {
    "alfworld": {
        "bomb": r"more than|is longer than",
        "code": r"its (?:grammar|task line|PDDL \w+) is not (?:a known one|plain words)",
        "control": r"no list of commands|which no problem has|is not a known one|Invalid control|cannot be printed",
        "edited": r"is not a known one",
        "escape": r"leads out|is a link to a folder|are not at|does not exist",
        "flip": r"because its PDDL problem ",
        "missing": r"lacks|does not say the game's task_type|are not at",
        "misspelt": r"it lacks",
        "number": r"because its PDDL problem ",
        "type": r"it lacks|no list of commands",
        "unknown": r"does not say the game's task_type",
        "mixed": rf"not UTF-8|NUL|{_JSON}|nested|{REASONS['number']}",
    },
    "checkpoint": dict.fromkeys(("misspelt", "unknown", "missing", "type"), rf"is no state of ucb|{_NO_STATE}")
    | {"empty": rf"{_JSON}|{_NO_STATE}"},
    "manifest": dict.fromkeys(("missing", "misspelt", "type"), _UNMARKED)
    | {
        "edited": r"has (?:other content in|\S+ with [\d,]+ of [\d,]+ bytes)|lacks |cannot be read",
        "empty": rf"{_JSON}|{_UNMARKED}",
        "escape": r"which cannot be a file in the folder",
        "number": rf"{REASONS['number']}|{_UNMARKED}",
    },
    "corpus": {
        "bomb": r"longer than|unpacks to more than",
        "code": r"not UTF-8|cannot be unpacked|is not valid JSON",
        "cut": rf"{REASONS['cut']}|cannot be unpacked",
        "empty": r"is no JSON object|holds no passage|is empty|not valid JSON|has no 'contents'",
        "escape": r"exists: remove|does not exist|is a |cannot be|leads out|no name|a name that is no text",
        "misspelt": r"has no 'contents'",
        "missing": r"has no 'contents'|does not exist",
        "number": rf"{REASONS['number']}|\(Exceeds the limit|holds a \w+ in '",
        "type": r"holds an? \w+ in '",
    },
    "evaluation": {
        "edited": r"was edited|is malformed",
        "empty": rf"{_JSON}|is not an evaluation of format",
        "missing": r"it has no|it lacks|was edited \(its summary",
        "misspelt": r"it has no|was edited \(its summary|unknown",
        "type": rf"{REASONS['type']}|was edited \(its summary",
        "unknown": r"has the unknown key|was edited \(its summary",
    },
    "export": dict.fromkeys(("missing", "misspelt", "type"), rf"{_UNMARKED}|{_NOT_WRITTEN}")
    | {
        "edited": _NOT_WRITTEN,
        "empty": rf"{_JSON}|{_UNMARKED}",
        "escape": r"which cannot be a file in the folder",
        "number": rf"{REASONS['number']}|{_UNMARKED}",
    },
    "index": {
        "code": r"is damaged \(|does not belong to this index|pickled \(object\) data",
        "cut": rf"{REASONS['cut']}|cannot be read \(",
        "edited": r"does not belong to this index|the corpus \S+ (?:is a|does not exist|has)|is damaged|has changed|"
        r"vectors\.faiss does not exist|an index of the kind |another version",
        "escape": r"leads out|is a file, so a faiss index|is no retriever index|there is no index|outside",
        "misspelt": r"is damaged|another (?:version|format)",
        "missing": r"is damaged|does not exist|is no retriever index|no whole index",
        "number": rf"{REASONS['number']}|is damaged|another (?:version|format)",
        "size": r"is not the corpus that|not as long as it was written|larger than|cannot be read \(",
        "type": r"an index of the kind |is damaged|another (?:version|format)",
        "unknown": r"is damaged",
        "empty": rf"is damaged|{_JSON}",
        "flip": r"(?:is|has) damaged|has changed|not belong|cannot be read|is (?:not valid|no) JSON",
    },
    "mapping": {
        "code": r"holds the control character|larger than|has no text|not UTF-8|a marker|the bank's mapping gives",
        "control": r'has (?:"|skill_files|task_to_skill|task_keywords|the (?:unknown key|name ")) ?|holds the',
        "cut": rf"{_JSON}|not UTF-8",
        "depth": r"nested|larger than",
        "escape": r"outside the bank|is not a folder|leads out|is a link|name a markdown file|which is not there",
        "missing": r"has no '|does not list|is not a folder",
        "mixed": rf"{_JSON}|not UTF-8|NUL|larger than|not a number of JSON|twice",
        "type": r"has '?\w+'? (?:that is not|'.*' = )|is not an object|has (?:skill_files|task_)|lists no files",
        "unknown": r"has the unknown key|has (?:skill_files|task_to_skill|task_keywords) '",
    },
    "model": {
        "bomb": r"that no model has|makes no sense|more than|larger than",
        "code": r"no safetensors|asks for|in the safetensors format|is not (?:JSON|UTF-8)|names code|pickle",
        "edited": r"and the weights beside it have|lacks|has no|is not",
        "empty": rf"{REASONS['empty']}|cut short",
        "escape": r"no safetensors in its folder|is no index of safetensors|leads out|outside",
        "missing": r"holds no|has no|lacks|set base_model_name_or_path|another adapter than LoRA \(peft_type\)",
        "number": rf"{REASONS['number']}|that no model has|that is no token|makes no sense|has no rank",
        "size": rf"{REASONS['size']}|{_JSON}|goes beyond its end",
        "type": rf"{REASONS['type']}|that no model has|that is no token|another adapter|makes no sense|"
        r"has no|is no |neither names of modules|set base_model_name_or_path",
    },
    "override": {
        "type": _MUST,
        "number": rf"{_MUST}|{REASONS['number']}",
        "bomb": rf"{REASONS['bomb']}|{_MUST}|is not valid YAML|{REASONS['depth']}",
        "control": rf"{REASONS['control']}|there is no key|no readable key",
        "depth": rf"{REASONS['depth']}|no readable key|has \d{{6}} letters",
        "duplicate": r"same wish|twice",
        "empty": r"no readable key|has no value",
        "encoding": r"not UTF-8|special characters are not allowed|has no value|holds the character U\+D",
        "escape": r"cannot change what a recipe extends|holds the character",
        "missing": rf"no model|has no value|no readable key|{_MUST}|is missing",
        "surrogate": rf"{REASONS['surrogate']}|special characters are not allowed|not UTF-8",
        "unknown": r"there is no key|no readable key|is {'x': .*}, but must be a number",
        "code": rf"uses the YAML tag|no readable key|{_MUST}",
    },
    "panel": {
        "duplicate": r"repeated|twice",
        "edited": r"was edited|are not a text for each task|repeated",
        "empty": rf"{_JSON}|is not a JSON object",
        "missing": r"has no '|is not of format|are not a text for each task|does not exist",
        "misspelt": r"has no '|is not of format",
        "type": r"has no '|are not a text for each task|is not of format|repeated or not texts|is not a JSON object",
        "unknown": r"is not of format",
        "mixed": rf"{_JSON}|NUL|not UTF-8|{REASONS['depth']}|twice",
    },
    "parquet": dict.fromkeys(
        ("cut", "bomb", "empty", "size", "mixed", "flip"),
        r"is no parquet file, or is cut short|is damaged|is larger than|more than|cannot be read",
    )
    | {
        "control": r"that is no name|holds",
        "duplicate": r"has two columns",
        "escape": r"is not there|cannot be|does not exist|is a (?:device|folder)",
        "missing": r"has no column|, not text|is not there|has no ",
        "misspelt": r"has no column|holds struct<.*, not text|has no (?:golden answer|text in)",
        "number": r"row \d+ has no ",
        "type": r"has no column|, not text|has no (?:golden answer|text in)",
        "surrogate": r"not UTF-8",
    },
    "recipe": _YAML
    | {
        "escape": r"extends (?:itself|names)|there is no recipe|holds the character|is not valid YAML|cannot be|"
        r"the recipe \S+ (?:is a (?:folder|device)|does not exist)",
        "missing": r"is missing|no model|cannot act",
    },
    "recording": {
        "bomb": rf"{_EPISODE}|has a line of more than|unpacks to more",
        "cut": r"is damaged|is not gzip|is cut short",
        "edited": _EPISODE,
        "empty": _EPISODE,
        "missing": rf"Field required|{_EPISODE}(?:a |its \w+ is not )",
        "number": rf"{REASONS['number']}|Input should|number of|is not a number|that is no token|has the index -\d",
        "size": r"more than|is not gzip|larger than",
        "type": rf"Input should be|its format is not|{_EPISODE}",
        "mixed": rf"{_EPISODE}|not UTF-8",
        "encoding": r"not UTF-8",
    },
    "run": {
        "missing": r"\(it has no |is not what it should be|is not a run",
        "misspelt": r"\(it has no ",
        "empty": rf"{_JSON}|it is not JSON|is no object",
        "number": rf"{REASONS['number']}|not what it should be|{_JSON}",  # 1e11e is none
        "type": r"not what it should be|is no object",
    },
    "skills": {
        "bomb": r"that cannot be read \(",
        "code": r"which chat templates read as a marker|that cannot be read|has .* = |has the unknown key|write ",
        "control": rf"{REASONS['control']}|not to be printed|has no front matter|cannot be read|unknown key|share",
        "depth": r"nested too deeply|front matter over|cannot be read",
        "duplicate": r"share the name|twice|cannot be read",
        "escape": r"holds the bank|is a link|is not a folder|leads? out|has no '|not to be printed|outside",
        "missing": r"has no ",
        "number": r"write (?:a line|words|a list|one)|has no front matter|cannot be read|not readable YAML",
        "size": r"front matter over|larger than|more than|longer than|too long",
        "surrogate": r"not UTF-8|not to be printed|write a list|surrogate|cannot be read|U\+D",
        "type": r"write (?:a line|words|a word|a list)|cannot be read|has no",
        "unknown": r"has the unknown key|cannot be read",
    },
    "slurm": _YAML | {"escape": _MUST},
    "space": _YAML
    | {
        "bomb": rf"{REASONS['bomb']}|lists \d+ values|combinations",
        "control": rf"{REASONS['control']}|there is no key",
        "depth": rf"{REASONS['depth']}|has no readable key",
        "empty": rf"{_OBJECT}|empty choice|has no |the axis \S+=(?:zzz|null): .* but must be",
        "escape": rf"set the same section|there is no key|has no readable key|cannot change what|{_MUST}|is set|"
        r"cannot be an axis|is no key|are the same wish",
        "number": rf"{_MUST}|is not whole|does not (?:rise|end)|logarithm|no(?:t a)? number|has no|step|finite|"
        r"combinations|too large|twice",
        "size": rf"{_YAML['size']}|lists \d+ values",
        "surrogate": rf"{REASONS['surrogate']}|not UTF-8|special characters are not allowed",
        "type": _MUST,
        "unknown": r"there is no key|seed cannot be an axis|neither a command|has a key of",
    },
    "study": dict.fromkeys(
        ("edited", "missing", "misspelt", "type", "unknown"),
        r"is damaged at |is of format|\(its? (?:has no |is no |moment |storage )",
    )
    | {"empty": rf"{_JSON}|it is not JSON|is no object"},
    "study's journal": dict.fromkeys(("type", "number"), r"is damaged \(trial \d+ of its \w+ has ")
    | {"code": r"is damaged \(its (?:line \d+ |entries do not follow)", "missing": r"does not hold the study"},
    "transcript": {
        "": r"holds lines that are none of a transcript",
        "bomb": r"unpacks to more than",
        "cut": r"cut short|damaged",
        "empty": r"none of a transcript|cut short|not packed by gzip",
        "size": r"larger than",
    },
    "webshop_json": {
        "bomb": r"more than",
        "cut": rf"{REASONS['cut']}|half of a surrogate pair",
        "empty": r"does not hold a|ends in the middle|is empty|holds no",
        "encoding": r"not UTF-8|is not JSON|does not hold a",
        "escape": r"is a link that leaves|is neither|something else than (?:a store|an unfinished import)|"
        r"name the products|holds no|does not|there is no \S+: name the folder",
        "missing": r"has no '|holds no|does not exist",
        "misspelt": r"has no '",
        "number": rf"{REASONS['number']}|{_JSON}|not a text",
        "size": r"does not hold a|more than|larger than",
        "type": r", not a |does not hold a|has no '|has no text as '",
        "duplicate": r"twice",
    },
    "webshop_store": {
        "bomb": _STORED,
        "code": r"is damaged \(|pickled",
        "cut": rf"{REASONS['cut']}|is damaged",
        "edited": _STORED,
        "empty": r"is damaged|not as long",
        "escape": r"leads out|there is no store",
        "flip": r"is damaged|has changed|not as long",
        "missing": r"is damaged|does not exist|is not whole|no whole index|there is no store",
        "misspelt": r"is damaged",
        "mixed": r"is damaged \(",
        "number": r"is damaged",
        "size": r"larger than|not as long",
        "type": r"is damaged|another format",
        "unknown": r"is damaged|another format",
    },
}
"""Kind → class → what its sentences say beside, or instead; "" is every class that is not there."""


def why(kind: str, klass: str, classes: Collection[str], put: str | None = None) -> str:
    """What a line must say of the class, or of what was put into a file's place; what is damaged in two ways is
    refused for one that the kind knows."""
    if klass == "place":
        assert put is not None, f"{kind}/place does not say what it put there"
        return of_put(kind, put)
    own = OWN.get(kind, {})
    if klass in own or "" in own:
        return own.get(klass, own.get("", ""))
    if klass == "mixed":
        return "|".join([why(kind, one, ()) for one in classes if one not in ("mixed", "place")] + ["NUL", _JSON])
    return REASONS[klass]
