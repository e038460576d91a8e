"""Generated games: which ones, where they are kept, and how they are made.

A suite's games are drawn from its seed alone, walked through on the real engine before they are kept, and
written once, in the official layout, to ``<cache>/alfworld/<hash>/``.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from random import Random
from tempfile import mkdtemp
from typing import Any

from sdar_cli.errors import EnvironmentSetupError, RunFailed
from sdar_cli.paths import cache_root
from sdar_cli.reading import Unreadable, read_json
from sdar_envs.alfworld.vetting import GAME_FILE, vet
from sdar_envs.alfworld.world import TASK_TYPES, World, draw, route

GENERATOR = 1
"""Raised whenever the same suite would give other games."""
SPLITS = ("train", "test")
GAMES_FOLDER = "json_2.1.1"
_DRAWS = 2000
_LARGEST_INDEX = 256 << 20
_MADE_AGAIN = "remove its folder, the games are made again"
_ID = re.compile(r"[a-z]+/[A-Za-z0-9_-]+")

Progress = Callable[[int, int], None]
"""Called with the games written so far and all of them."""


@dataclass(frozen=True, slots=True)
class Suite:
    """A set of generated games; ``receptacles`` and ``things`` are counts in a room."""

    train: int
    test: int
    seed: int
    receptacles: int
    things: int
    max_expert_turns: int

    @property
    def folder(self) -> Path:
        """Where the games are or will be."""
        try:
            version = metadata.version("alfworld")
        except metadata.PackageNotFoundError as error:
            raise EnvironmentSetupError(
                "ALFWorld's engine is not installed (no package alfworld): "
                "run `pip install 'sdar[alfworld]'`, which needs g++ and make"
            ) from error
        content = asdict(self) | {"generator": GENERATOR, "alfworld": version}
        name = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
        return cache_root() / "alfworld" / name


def index(suite: Suite) -> dict[str, list[dict[str, Any]]]:
    """The games of a generated suite by split: id, task_type, goal, and the expert's ``search``.

    Raises EnvironmentSetupError where the file is not as it was written.
    """
    file = suite.folder / "index.json"
    try:
        content = read_json(file, _LARGEST_INDEX)
    except Unreadable as error:
        raise EnvironmentSetupError(f"{file} {error}: {_MADE_AGAIN}") from None
    if not isinstance(content, dict) or not all(_listed(content.get(split), split) for split in SPLITS):
        raise EnvironmentSetupError(f"{file} does not list the games of {' and '.join(SPLITS)}: {_MADE_AGAIN}")
    return content


def _listed(entries: Any, split: str) -> bool:
    """Whether these are games of a split as ``generate`` lists them, in the suite's folder."""
    return isinstance(entries, list) and all(
        isinstance(entry, dict)
        and all(isinstance(entry.get(key), str) for key in ("id", "task_type", "goal"))
        and entry["task_type"] in TASK_TYPES
        and _ID.fullmatch(entry["id"]) is not None
        and entry["id"].startswith(f"{split}/")
        and isinstance(entry.get("search"), list)
        and all(isinstance(command, str) for command in entry["search"])
        for entry in entries
    )


def generate(suite: Suite, *, workers: int = 1, progress: Progress | None = None) -> Path:
    """Make, verify and write a suite's games, if they are not there; returns their folder.

    With more than one worker, processes share the work. The folder appears complete or not at all.
    """
    folder = suite.folder
    if (folder / "index.json").exists():
        return folder
    entries = {split: _entries(suite, split) for split in SPLITS}
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise EnvironmentSetupError(
            f"generated games cannot be written to {folder.parent} ({error.strerror}): "
            "set SDAR_CACHE to a folder that can be written"
        ) from error
    try:
        plan = [(entry["id"], world) for split in SPLITS for entry, world in entries[split]]
        _write_all(draft, plan, workers, progress)
        listed = {split: [entry for entry, _ in entries[split]] for split in SPLITS}
        _write_json(draft / "index.json", listed)
        _publish(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def draw_worlds(suite: Suite, split: str) -> list[World]:
    """A split's worlds: no two alike, task types in turn, none that takes the expert too long."""
    from sdar_envs.alfworld.problem import tables

    known = tables()
    worlds: list[World] = []
    seen: set[str] = set()
    for number in range(getattr(suite, split)):
        task_type = TASK_TYPES[number % len(TASK_TYPES)]
        for attempt in range(_DRAWS):
            rng = Random(f"{suite.seed}/{split}/{number}/{attempt}")
            world = draw(rng, task_type, suite.receptacles, suite.things, known)
            if world is None or world.split != split or world.digest in seen:
                continue
            if len(route(world, known, informed=False)) <= suite.max_expert_turns:
                break
        else:
            raise EnvironmentSetupError(
                f"no further {task_type} game was found for {split} after {number} games: raise "
                "environment.options.receptacles, things or max_expert_turns, or ask for fewer games"
            )
        seen.add(world.digest)
        worlds.append(world)
    return worlds


def write_game(engine: Any, folder: Path, world: World) -> None:
    """Write one game, after its walkthrough and its search have been played to the end on the engine."""
    from sdar_envs.alfworld.problem import game_file, tables, trial

    routes = [route(world, tables(), informed=informed) for informed in (True, False)]
    content = game_file(world, *routes)
    game = vet(content, str(folder))
    for commands in routes:
        screen = engine.start(game)
        for command in commands:
            if screen.won or command not in screen.commands:
                raise RunFailed(
                    f"the generated game {folder.name} cannot be solved by {', '.join(commands)}: "
                    "report it with the recipe's environment options"
                )
            screen = engine.send(command)
        if not screen.won:
            raise RunFailed(f"the generated game {folder.name} is not won by its expert: report it")
    folder.mkdir(parents=True)
    (folder / GAME_FILE).write_text(json.dumps(content), encoding="utf-8")
    (folder / "traj_data.json").write_text(json.dumps(trial(world)), encoding="utf-8")


def _entries(suite: Suite, split: str) -> list[tuple[dict[str, Any], World]]:
    from sdar_envs.alfworld.problem import tables, task_sentence

    entries = []
    for number, world in enumerate(draw_worlds(suite, split)):
        entry = {
            "id": f"{split}/{world.task_type}-{world.target}-None-{world.destination}-{number:04d}",
            "task_type": world.task_type,
            "goal": task_sentence(world),
            "search": route(world, tables(), informed=False),
        }
        entries.append((entry, world))
    return entries


def _write_all(draft: Path, plan: Sequence[tuple[str, World]], workers: int, progress: Progress | None) -> None:
    done, lock = 0, threading.Lock()

    def advance() -> None:
        nonlocal done
        with lock:
            done += 1
            if progress is not None:
                progress(done, len(plan))

    if workers <= 1:
        write_share(draft, [(id_, asdict(world)) for id_, world in plan], advance)
        return
    shares = [[(id_, asdict(world)) for id_, world in plan[start::workers]] for start in range(workers)]
    processes: list[subprocess.Popen] = []
    with ThreadPoolExecutor(workers) as threads:
        futures = [threads.submit(_share_in_process, draft, share, advance, processes) for share in shares]
        try:
            for future in futures:
                future.result()
        except BaseException:  # nobody waits for the rest
            for process in processes:
                process.kill()
            raise


def write_share(draft: Path, share: Sequence[tuple[str, dict[str, Any]]], advance: Callable[[], None]) -> None:
    """Write these games (id, world as JSON) with one engine."""
    from sdar_envs.alfworld.engine import Engine

    engine = Engine()
    try:
        for id_, fields in share:
            fields = {key: _tuples(value) for key, value in fields.items()}
            write_game(engine, draft / GAMES_FOLDER / id_, World(**fields))
            advance()
    finally:
        engine.close()


def _share_in_process(
    draft: Path, share: list[Any], advance: Callable[[], None], processes: list[subprocess.Popen]
) -> None:
    code = (
        "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from sdar_envs.alfworld.generated import main; main()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, json.dumps(sys.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    ) as process:
        processes.append(process)
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        process.stdin.write(json.dumps([str(draft), share]))
        process.stdin.close()
        for _ in process.stdout:
            advance()
        complaint = process.stderr.read().strip()
    if process.returncode:
        reason = complaint.splitlines()[-1] if complaint else f"exit status {process.returncode}"
        raise RunFailed(f"a process that generated games failed ({reason}): run `sdar doctor`")


def main() -> None:
    """A generating process: a share on standard input, one line on standard output for each game written."""
    draft, share = json.load(sys.stdin)
    out = os.fdopen(os.dup(1), "w")

    def advance() -> None:
        out.write(".\n")
        out.flush()

    write_share(Path(draft), share, advance)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list | tuple) else value


def _write_json(file: Path, content: Any) -> None:
    with file.open("w", encoding="utf-8") as out:
        json.dump(content, out, indent=1)
        out.flush()
        os.fsync(out.fileno())


def _publish(draft: Path, folder: Path) -> None:
    draft.chmod(0o755)
    try:
        os.rename(draft, folder)
    except OSError:
        if not (folder / "index.json").exists():  # else another process was first, with the same games
            raise
