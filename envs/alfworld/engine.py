"""One live ALFWorld game on the real engine: Fast Downward's successor generator and TextWorld's grammar.

TextWorld's own ``PddlEnv`` translates the PDDL four times for a reset and parses the grammar again for every
listed command. This module drives the same parts (``PddlState``, ``GameLogic``) with the translation and the
parses memoised and the command templates filled directly; tests/envs/test_alfworld_engine.py holds that texts
and commands are those of the package's wrappers, letter for letter. Nothing here is safe in threads.
"""

from __future__ import annotations

import contextlib
import os
import random
import struct
import sys
import tempfile
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from sdar_cli.errors import EnvironmentSetupError
from sdar_envs.alfworld.vetting import GOAL_PLACEHOLDER, Game

TRANSLATIONS_KEPT = 16
"""Translated problems held per process; a group of episodes plays the same game."""

_SPARE: list[Any] = []
"""Libraries of closed engines."""


@dataclass(frozen=True, slots=True)
class Screen:
    """What the game shows: its text, the commands it would accept (sorted, with ``help``), if it is won."""

    text: str
    commands: tuple[str, ...]
    won: bool


class Engine:
    """A slot of the engine, reused from game to game (a new one leaks 1.6 MB, a reused one does not)."""

    def __init__(self) -> None:
        self._parts = parts()
        self._library = _SPARE.pop() if _SPARE else _load_library(self._parts.fast_downward)
        self._state: Any = None
        self._actions: dict[str, Any] = {}

    def start(self, game: Game) -> Screen:
        """Load a vetted game and show its opening: the room, then the task."""
        with _undisturbed():
            self._logic = _logic(game.domain, game.skeleton)
            self._state = self._parts.pddl.PddlState(self._library, game.problem, self._logic)
            self._entities = self._name_entities()
            opening = self._derive("#intro#", {}, {})
            return self._screen(opening.replace(GOAL_PLACEHOLDER, game.goal_line))

    def send(self, command: str) -> Screen:
        """Apply a command; one that is not listed leaves the world as it is."""
        with _undisturbed():
            action = self._actions.get(command.strip())
            if action is None:
                return self._screen("Nothing happens.")
            self._state.apply(action)
            variables = {key.name: self._entities[value.name] for key, value in action.mapping.items()}
            return self._screen(self._derive(action.feedback_rule, variables, action.mapping))

    def close(self) -> None:
        """Hand the library to the next engine of this process; unloading a used one crashes the process."""
        if self._library is not None:
            _SPARE.append(self._library)
        self._library = self._state = None

    def _name_entities(self) -> dict[str, Any]:
        """Ids such as ``Desk_bar_1`` to the names players read (``desk 1``), as the package names them."""
        entities = {
            variable.name: self._parts.EntityInfo(variable.name, variable.type)
            for fact in self._state.facts
            for variable in fact.arguments
        }
        demangler = self._parts.Demangler(game_infos=entities, shuffle=False)
        for entity in entities.values():
            entity.name = demangler.demangle_alfred_name(entity.id)
            entity.definite, entity.indefinite = "the", "a"
        return entities

    def _derive(self, rule: str, variables: dict[str, Any], mapping: Any) -> str:
        context = {
            "state": self._state,
            "facts": list(self._state.facts),
            "variables": variables,
            "mapping": mapping,
            "entity_infos": self._entities,
        }
        return self._logic.grammar.derive(rule, context)

    def _screen(self, text: str) -> Screen:
        self._actions = {}
        for action in self._state.all_applicable_actions():
            names = {key.name: self._entities[value.name].name for key, value in action.mapping.items()}
            # Two actions may read alike (a receptacle seen from two places): the first one counts.
            self._actions.setdefault(_template(action).format(**names), action)
        return Screen(text, tuple(sorted(self._actions)), self._state.check_goal())


def _template(action: Any) -> str:
    """The grammar looks up where ``go to`` leads; the action says it already."""
    return "go to {r}" if action.name == "gotolocation" else action.command_template


@dataclass(frozen=True, slots=True)
class Parts:
    """The third-party modules that the engine drives."""

    fast_downward: Any
    pddl: Any
    Demangler: Any
    EntityInfo: Any


@lru_cache(maxsize=1)
def parts() -> Parts:
    """Import the packages, once, without their side effects; an error names the extra to install."""
    try:
        with _undisturbed(), _without_cache_folder():
            import fast_downward
            from alfworld.agents.utils.misc import Demangler
            from textworld.envs.pddl import logic, textgen
            from textworld.generator.game import EntityInfo
            from textworld.logic import Rule
    except ImportError as error:
        raise EnvironmentSetupError(
            f"ALFWorld's engine is not installed ({error}): run `pip install 'sdar[alfworld]'`, "
            "which needs g++ and make"
        ) from error
    fast_downward.pddl2sas = _memoise_translation(fast_downward.pddl2sas)
    textgen._parse_and_convert = _memoise_parse(textgen._parse_and_convert)
    Rule.parse_conjunctive_query = staticmethod(lru_cache(maxsize=512)(Rule.parse_conjunctive_query))
    return Parts(fast_downward, logic, Demangler, EntityInfo)


def _memoise_translation(translate: Any) -> Any:
    """One translation a problem; the second, for the planner, is not needed."""

    @lru_cache(maxsize=TRANSLATIONS_KEPT)
    def plain(domain: str, problem: str) -> Any:
        return translate(domain, problem)

    def pddl2sas(domain: str, problem: str, verbose: bool = False, optimize: bool = False) -> Any:
        return plain(domain, problem)

    return pddl2sas


def _memoise_parse(parse: Any) -> Any:
    """Grammar symbols by text; a derivation writes its context into them, so each gets copies."""

    @lru_cache(maxsize=4096)
    def parsed(text: str, rule_name: str) -> Any:
        return parse(text, rule_name=rule_name)

    def parse_and_convert(text: str, rule_name: str, **_: Any) -> Any:
        return [copy(symbol) for symbol in parsed(text, rule_name)]

    return parse_and_convert


def _load_library(fast_downward: Any) -> Any:
    with _undisturbed(), _slim_library(fast_downward.interface):
        library = fast_downward.load_lib()
    library.load_sas_replan = lambda sas: None  # the planner's copy of a game: nothing here plans
    return library


@contextlib.contextmanager
def _slim_library(interface: Any) -> Iterator[None]:
    """Every slot loads a copy of the planner's library from a file of its own: 1 MB instead of 34."""
    whole = interface.DOWNWARD_LIB_PATH
    with tempfile.TemporaryDirectory() as folder:
        slim = Path(folder) / "slim.so"
        slim.write_bytes(_loadable(Path(whole)))
        interface.DOWNWARD_LIB_PATH = str(slim)
        try:
            yield
        finally:
            interface.DOWNWARD_LIB_PATH = whole


@lru_cache(maxsize=1)
def _loadable(library: Path) -> bytes:
    """An ELF library up to the end of its last loadable segment; what follows is for debuggers."""
    content = library.read_bytes()
    if content[:6] != b"\x7fELF\x02\x01":  # 64 bit, little-endian; anything else is taken as it is
        return content
    (table,) = struct.unpack_from("<Q", content, 32)
    size, count = struct.unpack_from("<HH", content, 54)
    headers = [struct.unpack_from("<IIQQQQ", content, table + index * size) for index in range(count)]
    return content[: max(offset + length for kind, _, offset, _, _, length in headers if kind == 1)]


@lru_cache(maxsize=8)
def _logic(domain: str, skeleton: str) -> Any:
    return parts().pddl.GameLogic(domain=domain, grammar=skeleton)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Keep what the packages overwrite: ``sys.argv``, the global random state, and our standard output."""
    argv, state = sys.argv, random.getstate()
    try:
        with open(os.devnull, "w") as sink, contextlib.redirect_stdout(sink):
            yield
    finally:
        sys.argv = argv
        random.setstate(state)


@contextlib.contextmanager
def _without_cache_folder() -> Iterator[None]:
    """On import the package creates the folder that ``ALFWORLD_DATA`` names, and sets the variable."""
    before = os.environ.get("ALFWORLD_DATA")
    os.environ["ALFWORLD_DATA"] = tempfile.gettempdir()
    try:
        yield
    finally:
        del os.environ["ALFWORLD_DATA"]
        if before is not None:
            os.environ["ALFWORLD_DATA"] = before
