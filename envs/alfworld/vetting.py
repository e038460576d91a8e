"""Reading game files. Playing a game evaluates its grammar as code, so only known grammars pass.

All official games share one PDDL domain and one grammar, the task line apart; the package's own files make a
second pair. A file is a game only if both hashes are known, its task line is plain words, and its problem is one of
that domain (``pddl.py``).
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sdar_cli.errors import EnvironmentSetupError
from sdar_cli.reading import Unreadable, read_json
from sdar_envs.alfworld.pddl import Unsound, check_problem

GAME_FILE = "game.tw-pddl"
GOAL_PLACEHOLDER = "UNKNOWN GOAL"
LARGEST_FILE = 4 * 2**20
LONGEST_WALKTHROUGH = 200
"""Commands; the official games' have up to 10, and an episode 50 turns."""

KNOWN_DOMAINS = frozenset(
    {
        "0af55e7f92d12b09d28515aa730e4d03fddd17228ef1fd7b18a3ee8ba49b27b9",  # the official games
        "f1473041ed01da514de1f87adfd7ef0804862361f83ccf63c75e43633b0eb280",  # alfworld 0.4.2, alfred.pddl
    }
)
KNOWN_GRAMMARS = frozenset(
    {
        "cee144b0ebf9c0a2c1fad64f91e2837e954f0b118e410f9156616ac0bf21ef2c",  # the official games
        "6b9f73c67d6214ec37cae9118e7a120cdd2c14dd4fa50abe53ac12362db85f9b",  # alfworld 0.4.2, alfred.twl2
    }
)
"""SHA-256 of the grammar with the task line replaced by ``Your task is to: UNKNOWN GOAL``."""

_TASK_LINE = re.compile(r'(?<="Your task is to: )[^"\n]*(?=")')
_PLAIN = re.compile(r"[A-Za-z0-9 ,.;:'!?()/&-]{1,400}")
_COMMAND = re.compile(r"[a-zA-Z0-9 ]{1,200}")


@dataclass(frozen=True, slots=True)
class Game:
    """A vetted game; ``goal_line`` is its task as the game words it, with its full stop."""

    domain: str
    skeleton: str
    goal_line: str
    problem: str
    walkthrough: tuple[str, ...]
    solvable: bool


def read_game(path: Path) -> Game:
    """Read and vet a game file, or raise an EnvironmentSetupError that names it."""
    try:
        content = read_json(path, LARGEST_FILE)
    except Unreadable as error:
        raise EnvironmentSetupError(
            f"{path} {error}, so it is no game: fetch the data again with `sdar data alfworld --fetch`"
        ) from None
    return vet(content, str(path))


def vet(content: Any, where: str) -> Game:
    """The game in a file's JSON, if its domain and grammar are known ones."""
    texts = ("pddl_domain", "grammar", "pddl_problem")
    if not isinstance(content, dict) or not all(isinstance(content.get(key), str) for key in texts):
        raise EnvironmentSetupError(
            f"{where} is not an ALFWorld game (it lacks {', '.join(texts)}): "
            "fetch the data again with `sdar data alfworld --fetch`"
        )
    refusal = "loading a game runs its grammar as code, so use the official games or generated ones"
    goals = _TASK_LINE.findall(content["grammar"])
    if len(goals) != 1 or not _PLAIN.fullmatch(goals[0]):
        raise EnvironmentSetupError(f"{where} is refused because its task line is not plain words: {refusal}")
    skeleton = _TASK_LINE.sub(GOAL_PLACEHOLDER, content["grammar"])
    for part, text, known in (
        ("PDDL domain", content["pddl_domain"], KNOWN_DOMAINS),
        ("grammar", skeleton, KNOWN_GRAMMARS),
    ):
        if digest(text) not in known:
            raise EnvironmentSetupError(f"{where} is refused because its {part} is not a known one: {refusal}")
    try:
        check_problem(content["pddl_problem"])
    except Unsound as error:
        raise EnvironmentSetupError(f"{where} is refused because its PDDL problem {error}: {refusal}") from None
    return Game(
        domain=content["pddl_domain"],
        skeleton=skeleton,
        goal_line=goals[0],
        problem=content["pddl_problem"],
        walkthrough=_walkthrough(content.get("walkthrough"), where),
        solvable=content.get("solvable") is not False,
    )


def _walkthrough(commands: Any, where: str) -> tuple[str, ...]:
    if commands is None:
        return ()
    if not isinstance(commands, list) or not all(
        isinstance(line, str) and _COMMAND.fullmatch(line) for line in commands
    ):
        raise EnvironmentSetupError(
            f"{where} has a walkthrough that is no list of commands: fetch the data again with "
            "`sdar data alfworld --fetch`"
        )
    if len(commands) > LONGEST_WALKTHROUGH:
        raise EnvironmentSetupError(
            f"{where} has a walkthrough of more than {LONGEST_WALKTHROUGH} commands: fetch the data again with "
            "`sdar data alfworld --fetch`"
        )
    return tuple(commands)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
