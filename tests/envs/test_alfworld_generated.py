"""A suite of generated games: complete or absent, the same whoever makes it, solved by its experts."""

from __future__ import annotations

import importlib.util
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from sdar_cli.errors import EnvironmentSetupError
from sdar_cli.models.word_tokenizer import words
from sdar_cli.rollout.pool import Pool
from sdar_envs.alfworld import generated
from sdar_envs.alfworld.environment import Alfworld, AlfworldOptions
from sdar_envs.alfworld.generated import SPLITS, Suite, draw_worlds, generate, index
from sdar_envs.alfworld.official import tasks as official_tasks
from sdar_envs.alfworld.prompts import scene
from sdar_envs.alfworld.world import TASK_TYPES
from sdar_envs.base import Observation, Step

pytestmark = pytest.mark.engine
if importlib.util.find_spec("alfworld") is None:
    pytest.skip("the alfworld extra is not installed", allow_module_level=True)

OPTIONS = AlfworldOptions(games="generated", train=12, test=6, receptacles=4, things=3)
SUITE = Suite(train=4, test=2, seed=7, receptacles=5, things=3, max_expert_turns=14)


def test_experts_solve_every_game_through_the_pool() -> None:
    environment = Alfworld(OPTIONS)
    tasks = [*environment.tasks("train"), *environment.tasks("test")]
    assert [task.task_type for task in tasks[:12]] == list(TASK_TYPES) * 2, "types take turns"
    with Pool(Alfworld, OPTIONS, workers=2, timeout=120) as pool:
        openings = pool.reset(dict(enumerate(tasks)))
        assert all(isinstance(opening, Observation) for opening in openings.values())
        for slot, task in enumerate(tasks):
            assert environment.goal(task, openings[slot]) == task.goal != ""
        plans = {slot: list(environment.expert(task) or ()) for slot, task in enumerate(tasks)}
        steps: dict[int, Step] = {}
        seen = dict(openings)
        while plans:
            actions = {slot: plan.pop(0) for slot, plan in plans.items()}
            for slot, action in actions.items():
                assert action in seen[slot].admissible
            answers = pool.step(actions)
            for slot, step in answers.items():
                assert isinstance(step, Step), step
                assert step.done is step.won is (not plans[slot])
                assert (step.reward, step.score) == ((10.0, 1.0) if step.won else (0.0, 0.0))
                steps[slot], seen[slot] = step, step.observation
            plans = {slot: plan for slot, plan in plans.items() if plan}
    won = Counter((task.id.split("/")[0], task.task_type) for slot, task in enumerate(tasks) if steps[slot].won)
    assert won == {(split, kind): count for split, count in (("train", 2), ("test", 1)) for kind in TASK_TYPES}


def test_the_vocabulary_holds_every_word_that_can_be_met() -> None:
    environment = Alfworld(OPTIONS)
    known = words(environment.vocabulary())
    rng = Random(0)
    for task in environment.tasks("test"):
        seen = environment.reset(task)
        for command in [*(environment.expert(task) or ()), *(None for _ in range(20))]:
            met = words([scene(seen.text), environment.goal(task, seen), *seen.admissible])
            assert {word for word in met if not word.isdigit()} <= known
            seen = environment.step(command or rng.choice(seen.admissible)).observation
    environment.close()


def test_two_processes_make_what_one_makes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contents = []
    for workers in (1, 2):
        monkeypatch.setenv("SDAR_CACHE", str(tmp_path / str(workers)))
        seen: list[tuple[int, int]] = []

        def progress(done: int, total: int, seen: list[tuple[int, int]] = seen) -> None:
            seen.append((done, total))

        folder = generate(SUITE, workers=workers, progress=progress)
        assert seen == [(number, 6) for number in range(1, 7)]
        assert [path.name for path in folder.parent.iterdir()] == [folder.name], "no draft stays behind"
        contents.append(
            {path.relative_to(folder): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}
        )
        assert generate(SUITE, progress=lambda *counts: pytest.fail("made twice")) == folder
    assert contents[0] == contents[1]
    assert len(contents[0]) == 6 * 2 + 1


def test_splits_are_disjoint_and_follow_the_seed_alone() -> None:
    worlds = {split: draw_worlds(replace(SUITE, train=60, test=60), split) for split in SPLITS}
    digests = {split: [world.digest for world in worlds[split]] for split in SPLITS}
    assert len(set(digests["train"])) == len(set(digests["test"])) == 60
    assert not set(digests["train"]) & set(digests["test"])
    other = [world.digest for world in draw_worlds(replace(SUITE, train=60, seed=8), "train")]
    assert not set(other) & set(digests["test"]), "even another seed's training games are held apart"
    assert set(other) != set(digests["train"])
    assert draw_worlds(replace(SUITE, train=24, test=24), "train") == worlds["train"][:24]


def test_a_suite_reads_as_official_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SDAR_CACHE", str(tmp_path))
    folder = generate(SUITE)
    listed = index(SUITE)
    assert {task.id for task in official_tasks(str(folder), "train")} == {entry["id"] for entry in listed["train"]}
    trial = json.loads(next(folder.rglob("traj_data.json")).read_text())
    assert trial["task_type"] in TASK_TYPES


def test_a_failure_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SDAR_CACHE", str(tmp_path))
    monkeypatch.setattr(generated, "write_share", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        generate(SUITE)
    assert list((tmp_path / "alfworld").iterdir()) == []


def test_a_cache_that_cannot_be_written_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SDAR_CACHE", str(tmp_path / "file"))
    with pytest.raises(EnvironmentSetupError, match=r"file/alfworld .*set SDAR_CACHE to a folder"):
        generate(SUITE)


def test_options_that_leave_too_few_games_are_refused() -> None:
    with pytest.raises(EnvironmentSetupError, match=r"raise environment\.options\.receptacles, things or"):
        draw_worlds(replace(SUITE, train=2000, receptacles=3, things=1, max_expert_turns=4), "train")
