"""The engine shows what the package's own wrappers show, letter for letter, and disturbs nothing."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from sdar_envs.alfworld.environment import Alfworld, AlfworldOptions
from sdar_envs.alfworld.world import TASK_TYPES

pytestmark = pytest.mark.engine
if importlib.util.find_spec("alfworld") is None:
    pytest.skip("the alfworld extra is not installed", allow_module_level=True)

OPTIONS = AlfworldOptions(games="generated", train=12, test=6, receptacles=4, things=3)

PACKAGE = """
import json, sys
import textworld
from alfworld.agents.environment.alfred_tw_env import AlfredDemangler, AlfredInfos
from textworld.envs import PddlEnv

out = sys.stdout
sys.stdout = sys.stderr
transcripts = []
for file, commands in json.load(sys.stdin):
    env = AlfredInfos(AlfredDemangler(PddlEnv(textworld.EnvInfos(won=True, admissible_commands=True))))
    env.load(file)
    state = env.reset()
    shown = [[state.feedback, state["admissible_commands"], state["won"]]]
    for command in commands:
        state, _, _ = env.step(command)
        shown.append([state.feedback, state["admissible_commands"], state["won"]])
    transcripts.append(shown)
json.dump(transcripts, out)
"""


@pytest.fixture(scope="module")
def environment() -> Alfworld:
    return Alfworld(OPTIONS)


def test_texts_and_commands_are_the_packages(environment: Alfworld, tmp_path: Path) -> None:
    from sdar_envs.alfworld.engine import Engine
    from sdar_envs.alfworld.vetting import read_game

    engine, ours, plays = Engine(), [], []
    for task in environment.tasks("test"):
        file = Path(task.data["file"])
        rng = random.Random(task.id)
        game = read_game(file)
        screen = engine.start(game)
        shown, commands = [[screen.text, list(screen.commands), screen.won]], []
        wander = [None, "fly to the moon", " look ", "help", None, *game.walkthrough]
        for command in wander:
            command = command or rng.choice(screen.commands)
            commands.append(command)
            screen = engine.send(command)
            shown.append([screen.text, list(screen.commands), screen.won])
        ours.append(shown)
        plays.append([str(file), commands])
    assert {task.task_type for task in environment.tasks("test")} == set(TASK_TYPES)
    engine.close()
    theirs = subprocess.run(
        [sys.executable, "-c", PACKAGE],
        input=json.dumps(plays),
        capture_output=True,
        text=True,
        env=os.environ | {"ALFWORLD_DATA": str(tmp_path)},
        check=True,
    )
    assert json.loads(theirs.stdout) == ours


def test_a_reused_slot_shows_the_same_as_a_new_one(environment: Alfworld) -> None:
    first, second = environment.tasks("train")[2:4]
    slot, fresh = Alfworld(OPTIONS), Alfworld(OPTIONS)
    seen = slot.reset(first)
    for command in environment.expert(first)[:3]:
        slot.step(command)
    slot.reset(second)
    slot.step("look")
    assert slot.reset(first) == seen == fresh.reset(first)
    for command in environment.expert(first):
        assert slot.step(command) == fresh.step(command)
    slot.close()
    fresh.close()
    fresh.close()


def test_slots_may_come_and_go(environment: Alfworld) -> None:
    """Unloading a used library crashed a later one, and the interpreter at its end."""
    program = f"""
from sdar_envs.alfworld.environment import Alfworld, AlfworldOptions
options = AlfworldOptions.model_validate({OPTIONS.model_dump()!r})
tasks = Alfworld(options).tasks("train")
for task in tasks[:4]:
    first, second = Alfworld(options), Alfworld(options)
    for slot in (first, second):
        slot.reset(task)
        slot.step("look")
    first.close()
    second.close()
print("alive")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "alive\n"), done.stderr


def test_nothing_outside_is_disturbed(environment: Alfworld, capfd: pytest.CaptureFixture[str]) -> None:
    task = environment.tasks("train")[0]
    argv, state, variables = list(sys.argv), random.getstate(), dict(os.environ)
    slot = Alfworld(OPTIONS)
    slot.reset(task)
    slot.step("look")
    slot.close()
    assert (sys.argv, random.getstate(), dict(os.environ)) == (argv, state, variables)
    assert capfd.readouterr() == ("", "")


def test_import_leaves_no_trace_and_loads_nothing_heavy(tmp_path: Path) -> None:
    program = """
import os, sys
import sdar_envs.alfworld.environment
heavy = {"torch", "textworld", "alfworld", "fast_downward", "numpy", "pandas"} & set(sys.modules)
assert not heavy, heavy
from sdar_envs.alfworld.engine import parts
parts()
assert "ALFWORLD_DATA" not in os.environ
assert sys.argv == ["-c", "an argument"], sys.argv
"""
    environment = {key: value for key, value in os.environ.items() if key != "ALFWORLD_DATA"}
    done = subprocess.run(
        [sys.executable, "-c", program, "an argument"],
        capture_output=True,
        text=True,
        env=environment | {"HOME": str(tmp_path)},
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not list(tmp_path.rglob("*alfworld*"))
