"""Banks in the layout of SDAR's authors: markdown files, and one ``skill_mapping.json`` beside them.

    {"skill_files":   {"general_skills": "general_skills.md", "clean": "clean.md"},
     "task_to_skill": {"pick_clean_then_place_in_recep": "clean"},
     "task_keywords": {"pick_clean_then_place_in_recep": ["clean", "wash"]}}

``skill_files`` maps names to files, or lists files, whose stems are the names; no other file is read.
``task_to_skill`` maps a task type to a skill, or to a list of them; a skill that no entry names is general.
``task_keywords``, which may be missing, gives keywords to the skills of a task type, or to a skill.
A file needs no front matter.
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from sdar_cli.errors import SkillError
from sdar_cli.reading import Missing, Outside, Unreadable, parse_json
from sdar_cli.skills.files import read_inside, read_text
from sdar_cli.skills.skill import Skill, is_line, parse_mapped_skill
from sdar_cli.skills.words import words

MAPPING = "skill_mapping.json"
MAX_SKILLS = 512

_KEYS = ("skill_files", "task_to_skill", "task_keywords")
_SUFFIXES = (".md", ".markdown", ".txt")
_FOR_ALL = "general_skills"
"""The authors' code shows the skill of this name with every task."""


def load_mapped(folder: Path) -> list[tuple[str, Skill]]:
    """The skills that ``folder``'s mapping lists, each with the path of its file.

    Raises SkillError, one sentence naming file and key: what cannot be read, a key that is missing or
    unknown, a value of the wrong type, a file that is missing or outside the folder, a skill or a task type
    that is nowhere.
    """
    where = folder / MAPPING
    mapping = _read(where, folder)
    files = _files(mapping["skill_files"], where)
    task_types = _task_types(mapping["task_to_skill"], files, where)
    keywords = _keywords(mapping.get("task_keywords", {}), task_types, where)
    found = []
    for name, file in files.items():
        path = folder / file
        entry = f"{where} lists '{file}' in skill_files"
        try:
            if os.path.normpath(file).startswith(("../", "/")):
                raise Outside
            text = read_inside(path, folder)
        except Outside:
            raise SkillError(f"{entry}, outside the bank: copy the file into its folder") from None
        except Missing:
            raise SkillError(f"{entry}, which is not there: add it, or remove the entry") from None
        except Unreadable as error:
            raise SkillError(f"{entry}, which {error}: put a readable file there, or remove the entry") from None
        skill = parse_mapped_skill(
            text,
            where=str(path),
            name=name,
            task_types=tuple(task_types[name]),
            keywords=tuple(keywords[name]),
        )
        found.append((str(path), skill))
    return found


def _read(where: Path, folder: Path) -> dict[str, Any]:
    try:
        mapping = parse_json(read_text(where, folder).removeprefix("\ufeff"))
    except Unreadable as error:
        raise SkillError(f"{where} {error}: write an object with {', '.join(_KEYS)}") from None
    if not isinstance(mapping, dict):
        raise SkillError(f"{where} is not an object: write one with {', '.join(_KEYS)}")
    for key in mapping:
        if key not in _KEYS:
            near = difflib.get_close_matches(key[:100], _KEYS, n=1)
            remedy = f"did you mean '{near[0]}'?" if near else f"the keys are {', '.join(_KEYS)}"
            raise SkillError(f"{where} has the unknown key {_show(key)}: {remedy}")
    for key in _KEYS[:2]:
        if key not in mapping:
            raise SkillError(f"{where} has no '{key}': add it, {_EXAMPLES[key]}")
    return mapping


_EXAMPLES = {
    "skill_files": 'as {"clean": "clean.md"}',
    "task_to_skill": 'as {"clean": "clean"}, or {} if every skill is general',
}


def _files(value: Any, where: Path) -> dict[str, str]:
    """Name → file, as the mapping lists them."""
    if isinstance(value, list):
        names = [PurePosixPath(file).stem if isinstance(file, str) else "" for file in value]
        for name in names:
            if name and names.count(name) > 1:
                raise SkillError(
                    f"{where} lists two files called {_show(name)} in skill_files: map names to files instead"
                )
        value = dict(zip(names, value, strict=True)) if all(isinstance(file, str) for file in value) else None
    if not isinstance(value, dict) or not value:
        raise SkillError(f"{where} has 'skill_files' that lists no files: write it {_EXAMPLES['skill_files']}")
    if len(value) > MAX_SKILLS:
        raise SkillError(f"{where} lists more than {MAX_SKILLS} files in skill_files: split the bank")
    files = {}
    for name, file in value.items():
        if not is_line(name):
            raise SkillError(f"{where} has the name {_show(name)} in skill_files: write a short line of text")
        if not is_line(file) or not file.lower().endswith(_SUFFIXES):
            raise SkillError(f"{where} has skill_files '{name}' = {_show(file)}: name a markdown file, '{name}.md'")
        if name.strip() in files:
            raise SkillError(f"{where} has the name '{name.strip()}' twice in skill_files: rename one of them")
        files[name.strip()] = file
    return files


def _task_types(value: Any, files: Mapping[str, str], where: Path) -> dict[str, list[str]]:
    """Skill → its task types, none for a general one, in the order of the mapping."""
    types: dict[str, list[str]] = {name: [] for name in files}
    for task_type, names in _entries(value, "task_to_skill", where):
        if not names:
            raise SkillError(f"{where} has task_to_skill '{task_type}' without a skill: name one, or remove the entry")
        for name in names:
            if name not in types:
                near = difflib.get_close_matches(name, types, n=1)
                remedy = f"did you mean '{near[0]}'?" if near else "add its file there, or remove the entry"
                entry = f"task_to_skill '{task_type}' = {_show(name)}"
                raise SkillError(f"{where} has {entry}, which skill_files does not list: {remedy}")
            if name == _FOR_ALL:
                raise SkillError(
                    f"{where} has task_to_skill '{task_type}' = '{_FOR_ALL}', which goes with every task: "
                    "remove the entry"
                )
            types[name].append(task_type)
    return types


def _keywords(value: Any, task_types: Mapping[str, Sequence[str]], where: Path) -> dict[str, list[str]]:
    """Skill → keywords: those of its task types, or its own."""
    keywords: dict[str, list[str]] = {name: [] for name in task_types}
    for key, found in _entries(value, "task_keywords", where):
        names = [name for name, types in task_types.items() if key in types]
        if not names and key not in task_types:
            raise SkillError(
                f"{where} has task_keywords '{key}', which is neither a task type nor a skill: correct or remove it"
            )
        for keyword in found:
            if not words(keyword):
                raise SkillError(
                    f"{where} has the keyword {_show(keyword)} for '{key}' in task_keywords, which holds no word: "
                    "remove it"
                )
        for name in names or [key]:
            keywords[name] += found
    return keywords


def _entries(value: Any, key: str, where: Path) -> list[tuple[str, list[str]]]:
    """An object of lines or lists of lines, as (key, lines)."""
    if not isinstance(value, dict):
        raise SkillError(f"{where} has '{key}' that is not an object: write it as {{\"task type\": ...}}")
    entries = []
    for name, lines in value.items():
        if not is_line(name):
            raise SkillError(f"{where} has {_show(name)} in {key}: write a short line of text")
        lines = [lines] if isinstance(lines, str) else lines
        if not isinstance(lines, list) or not all(is_line(line) for line in lines):
            raise SkillError(f"{where} has {key} '{name}' = {_show(lines)}: write text, or a list of texts")
        entries.append((name.strip(), list(dict.fromkeys(line.strip() for line in lines))))
    return entries


def _show(value: object) -> str:
    text = json.dumps(value, ensure_ascii=True)
    return text if len(text) <= 60 else text[:57] + "..."
