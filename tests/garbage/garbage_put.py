"""What a sentence says of what lies in a file's place: a pipe is not said to be missing."""

from __future__ import annotations

from collections.abc import Mapping

_GONE, _LONG = r"\bdoes not exist\b", r"cannot be (?:read|followed) \(File name too long\)"
_OUT = r"\bleads out of the folder "
PUT: Mapping[str, str] = {
    "folder": r"\bis a folder\b",
    "pipe": r"\bis a pipe\b",
    "socket": r"\bis a socket\b|cannot be (?:read|followed) \(No such device or address\)",
    "device": r"\bis a device\b",
    "dangling link": _GONE,
    "loop": r"cannot be (?:read|followed|listed) \(Too many levels of symbolic links\)",
    "missing": _GONE,
    "below a file": rf"{_GONE}|\(Not a directory\)",
    "long name": _LONG,
    "long path": _LONG,
    "denied": r"cannot be (?:read|followed|listed) \(Permission denied\)",
}
"""Name in ``garbage_places`` → what is said of it."""
_NO_MODEL = r"the folder 'model' holds no (?:config\.json|model\.safetensors):"
_ODD = r"is no ordinary file:"


def _gone(pattern: str) -> dict[str, str]:
    return {"missing": pattern, "dangling link": pattern}


OWN: Mapping[str, Mapping[str, str]] = {
    "alfworld": {"device": _OUT},
    "index": {**_gone(r"is no retriever index \(it holds no retriever\.json\)"), "device": _OUT},
    "manifest": _gone(r"has no manifest\.json, as its writing was cut short"),
    "mapping": {
        **_gone(r", which is not there:"),
        "device": r"is a link that leaves the bank's folder|, outside the bank:",
    },
    "model": {
        **_gone(_NO_MODEL),
        "folder": _NO_MODEL,
        "loop": _NO_MODEL,
        **dict.fromkeys(("pipe", "socket", "device"), _ODD),
    },
    "parquet": _gone(r"\.parquet is not there:"),
    "recipe": {"below a file": r"there is no recipe 'sample\.yaml/below'"},
    "run": _gone(r"/runs/a is not a run \(it has no run\.json\)|there is no run or model 'a'"),
    "skills": {"device": r"is a link that leaves the bank's folder"},
    "study": dict.fromkeys(PUT, r"there is no study in "),  # what is none is not listed
    "webshop_json": {
        **_gone(r"source holds no items_(?:shuffle|ins_v2)\*\.json:"),
        "device": r"is a link that leaves source:",
    },
    "webshop_store": {**_gone(r"there is no store in store:"), "device": _OUT},
}
"""Kind → what is put → what is said of it beside."""


def of_put(kind: str, put: str) -> str:
    """What a line must say of it."""
    own = OWN.get(kind, {}).get(put)
    return PUT[put] if own is None else f"{PUT[put]}|{own}"
