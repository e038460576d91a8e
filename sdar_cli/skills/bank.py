"""A bank: the skills of a folder, checked, in a fixed order, with a digest of their content."""

from __future__ import annotations

import difflib
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sdar_cli.errors import SkillError
from sdar_cli.paths import is_folder, user_path
from sdar_cli.skills.files import markdown_files, read_text
from sdar_cli.skills.mapping import MAPPING, load_mapped
from sdar_cli.skills.skill import Skill, parse_skill

if TYPE_CHECKING:
    from sdar_cli.recipe import schema
    from sdar_envs.base import Environment

__all__ = ["Skill", "SkillBank", "bank_for"]


@dataclass(frozen=True, slots=True)
class SkillBank:
    """Skills ordered by name; ``digest`` (16 hexadecimal digits of SHA-256) is of their content alone."""

    name: str
    skills: tuple[Skill, ...]
    digest: str

    @classmethod
    def load(cls, folder: Path | str, name: str | None = None) -> SkillBank:
        """Every ``*.md`` file of ``folder`` and its subfolders, ``README.md`` apart; or, where the folder holds
        ``skill_mapping.json``, the files that it lists (``mapping.py``).

        The bank is called ``name``, by default as the folder is. Raises SkillError, one sentence naming
        the file: a missing or empty folder, a link that leaves it, a file that is too large or malformed,
        two skills of one name.
        """
        folder = user_path(folder)
        if not is_folder(folder):
            raise SkillError(f"skill bank {folder} is not a folder: give one that holds markdown skills")
        called = name or Path(os.path.realpath(folder)).name
        if os.path.lexists(folder / MAPPING):
            return cls._of(called, load_mapped(folder))
        files = markdown_files(folder, MAPPING)
        if not files:
            raise SkillError(f"skill bank {folder} holds no markdown file: add skills to it, or give another folder")
        parsed = [(str(path), parse_skill(read_text(path, folder), where=str(path), stem=path.stem)) for path in files]
        return cls._of(called, parsed)

    @classmethod
    def from_texts(cls, texts: Mapping[str, str], name: str = "generated") -> SkillBank:
        """A bank from markdown texts in memory, by file name with or without ``.md``.

        Raises SkillError as ``load`` does.
        """
        if not texts:
            raise SkillError(f"skill bank '{name}' is empty: give at least one skill")
        parsed = [
            (f"skill '{label}'", parse_skill(text, where=f"skill '{label}'", stem=label.removesuffix(".md")))
            for label, text in texts.items()
        ]
        return cls._of(name, parsed)

    @classmethod
    def _of(cls, name: str, parsed: Sequence[tuple[str, Skill]]) -> SkillBank:
        homes: dict[str, str] = {}
        for where, skill in parsed:
            if skill.name in homes:
                raise SkillError(f"{homes[skill.name]} and {where} share the name '{skill.name}': rename one of them")
            homes[skill.name] = where
        skills = tuple(sorted((skill for _, skill in parsed), key=lambda skill: skill.name))
        content = json.dumps([asdict(skill) for skill in skills], sort_keys=True)
        return cls(name, skills, hashlib.sha256(content.encode()).hexdigest()[:16])

    @property
    def task_types(self) -> tuple[str, ...]:
        """Task types that some skill is for, sorted."""
        return tuple(sorted({task_type for skill in self.skills for task_type in skill.task_types}))

    def get(self, name: str) -> Skill:
        """The skill of this name; SkillError with the nearest names if there is none."""
        names = [skill.name for skill in self.skills]
        if name in names:
            return self.skills[names.index(name)]
        near = difflib.get_close_matches(name, names, n=1)
        remedy = f"did you mean '{near[0]}'?" if near else f"it has {', '.join(names)}"
        raise SkillError(f"bank '{self.name}' has no skill '{name}': {remedy}")


def bank_for(skills: schema.Skills, environment: Environment) -> SkillBank:
    """The bank a recipe means: its ``skills.bank`` folder, else what the environment writes, else its folder.

    Raises SkillError when there is none, or when it is malformed.
    """
    if skills.bank is not None:
        return SkillBank.load(skills.bank)
    texts = environment.describe_skills()
    if texts is not None:
        return SkillBank.from_texts(texts, name=environment.name)
    if environment.skills is not None:
        return SkillBank.load(environment.skills, name=environment.name)
    raise SkillError(
        f"environment '{environment.name}' brings no skills: set skills.bank to a folder of markdown skills"
    )
