"""``sdar play``: a person through a pipe, the expert, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from sdar_cli.cli.play import play
from sdar_cli.errors import EnvironmentSetupError, PanelError, RecipeError, RunFailed, SdarError, UserError

TOY = '''
from sdar_envs.base import Action, Environment, LazyTasks, Observation, Step, Task


class Toy(Environment):
    """Say 'yes' to win, 'no' to lose, 'boom' to crash."""

    name = "toy"
    splits = ("train", "test")

    def tasks(self, split):
        return [Task(f"{split}/{i}", "answer", f"Answer question {i}.") for i in range(5)]

    def reset(self, task):
        return Observation("Well [bold]now[/bold]?", ("yes", "no"))

    def step(self, action):
        if action == "boom":
            raise RuntimeError("boom")
        if action == "yes":
            return Step(Observation("Good."), 10.0, True, won=True)
        return Step(Observation("Hm."), 0.0, action == "no")

    def parse(self, response):
        return Action(response)

    def prompt(self, history):
        return [{"role": "user", "content": history.goal}]


class Unmade(LazyTasks):
    """A million tasks, none of which may be made but the one that is asked for."""

    def __len__(self):
        return 1_000_000

    def __getitem__(self, index):
        raise AssertionError("made")

    def holds(self, task_id):
        return self.find(task_id) is not None

    def find(self, task_id):
        return Task(task_id, "answer", "Answer.") if task_id == "train/999999" else None


class Vast(Toy):
    name = "vast"

    def tasks(self, split):
        return Unmade() if split == "train" else super().tasks(split)


class Master(Toy):
    name = "master"

    def expert(self, task):
        return ["wait", "yes"]
'''


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("toys") / "toys.py"
    path.write_text(TOY)
    return f"{path}:Toy"


def run(*arguments: str, typed: str = "") -> Result:
    app = typer.Typer()
    app.command()(play)
    return CliRunner().invoke(app, arguments, input=typed)


def test_a_person_wins_through_a_pipe(toy: str) -> None:
    out = run(toy, "--task", "test/3", typed="  look   around\n\nyes\n")
    assert out.exit_code == 0
    assert out.stdout.splitlines() == [
        "test/3 (answer)",
        "Task: Answer question 3.",
        "Well [bold]now[/bold]?",
        "yes · no",
        "> look around",
        "Hm.",
        "> ",
        "> yes",
        "Good.",
        "Won in 2 turns, reward 10.",
    ]


@pytest.mark.parametrize("typed", ["", "look\n", "look\nquit\n", "look\nQUIT\nyes\n"])
def test_end_of_input_and_quit_leave(toy: str, typed: str) -> None:
    out = run(toy, typed=typed)
    assert out.exit_code == 0
    turns = "1 turn," if typed else "0 turns,"
    assert out.stdout.splitlines()[-1] == f"Left after {turns} reward 0."


def test_json_is_alone_on_standard_output(toy: str) -> None:
    out = run(toy, "--task", "train/0", "--json", typed="no\n")
    record = json.loads(out.stdout)
    assert record["stop"] == "failure"
    assert record["goal"] == "Answer question 0."
    assert record["turns"] == [{"action": "no", "observation": "Hm.", "reward": 0.0}]
    assert "Lost after 1 turn" in out.stderr


def test_the_expert_plays(toy: str) -> None:
    record = json.loads(run(toy.replace(":Toy", ":Master"), "--expert", "--json").stdout)
    assert record["won"] is True
    assert [turn["action"] for turn in record["turns"]] == ["wait", "yes"]


@pytest.mark.parametrize("seed", range(3))
def test_household_experts_win_and_the_recipe_limits_turns(seed: int) -> None:
    record = json.loads(run("household", "--expert", "--seed", str(seed), "--json").stdout)
    assert record["won"] is True
    short = run("--recipe", "quickstart", "rollout.max_turns=1", "--expert", "--json")
    assert json.loads(short.stdout)["stop"] == "max_turns"


def test_the_seed_draws_the_task(toy: str) -> None:
    drawn = [json.loads(run(toy, "--seed", str(seed), "--json").stdout)["task"] for seed in range(12)]
    again = [json.loads(run(toy, "--seed", str(seed), "--json").stdout)["task"] for seed in range(12)]
    assert drawn == again
    assert {task.split("/")[0] for task in drawn} == {"test"}
    assert len(set(drawn)) > 2
    assert json.loads(run(toy, "--split", "train", "--json").stdout)["task"].startswith("train/")


@pytest.mark.parametrize(
    ("arguments", "kind", "said"),
    [
        (["--task", "test/33"], PanelError, "no task 'test/33': did you mean 'test/3'?"),
        (["--split", "tset"], PanelError, "no split 'tset': give one of train, test"),
        (["--expert"], EnvironmentSetupError, "'toy' has no expert"),
        (["seed=1"], UserError, "'seed=1' overrides a recipe, but none is given: use --recipe instead of ENV"),
        (["environment=household"], UserError, "use --recipe instead of ENV"),
        (["evaluation.tasks=3"], UserError, "use --recipe instead of ENV"),
        (["environment.name=household"], UserError, "'environment.name=household' say what to play: leave one out"),
        (["environment.workers=0"], RecipeError, "environment.workers is 0, but must be a number above 0"),
        (["environment.option.x=0"], RecipeError, "did you mean 'environment.options'?"),
        (["environment.options.x=0"], RecipeError, "there is no key 'environment.options.x'"),
        (["--recipe", "quickstart"], UserError, "leave one out"),
    ],
)
def test_refusals(toy: str, arguments: list[str], kind: type[SdarError], said: str) -> None:
    error = run(toy, *arguments).exception
    assert isinstance(error, kind)
    assert said in str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    "arguments",
    [
        "webshop environment.options.products=generated environment.options.size=60 environment.options.test=10",
        "search-qa environment.options.questions=generated environment.options.entities=5 environment.options.train=8 "
        "environment.options.test=4 environment.options.brief=true",
        "household environment.options.things=12 environment.timeout=9",
    ],
)
def test_an_environment_takes_options_without_a_recipe(arguments: str) -> None:
    record = json.loads(run(*arguments.split(), "--expert", "--json").stdout)
    assert record["won"] is True


@pytest.mark.parametrize("environment", ["webshop", "alfworld", "search-qa"])
def test_the_data_may_be_an_override_too(environment: str, tmp_path: Path) -> None:
    error = run(environment, f"environment.options.data={tmp_path / 'none'}").exception
    assert isinstance(error, EnvironmentSetupError)
    assert str(tmp_path / "none") in str(error)


def test_data_may_be_given_beside_options(tmp_path: Path) -> None:
    error = run("webshop", "environment.options.goals=human", "--data", str(tmp_path / "none")).exception
    assert isinstance(error, EnvironmentSetupError)
    assert str(tmp_path / "none") in str(error)
    error = run("webshop", "environment.options.products=generated", "--data", str(tmp_path)).exception
    assert isinstance(error, RecipeError)
    assert "set products=official, or leave data out" in str(error)


def test_a_task_is_found_among_a_million_without_making_them(toy: str) -> None:
    vast = toy.replace(":Toy", ":Vast")
    record = json.loads(run(vast, "--task", "train/999999", "--json", typed="yes\n").stdout)
    assert (record["task"], record["won"]) == ("train/999999", True)
    error = run(vast, "--task", "test/33").exception
    assert isinstance(error, PanelError)
    assert "did you mean 'test/3'?" in str(error), "of the small split"


def test_ids_of_a_large_split_are_not_compared(toy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sdar_cli.cli.play.MOST_COMPARED", 4)
    assert "leave --task out to have one drawn" in str(run(toy, "--task", "test/33").exception)


def test_a_lost_episode_is_our_failure(toy: str) -> None:
    error = run(toy, typed="boom\n").exception
    assert isinstance(error, RunFailed)
    assert "was lost" in str(error)


def test_bytes_that_are_no_text_are_refused(toy: str) -> None:
    app = typer.Typer()
    app.command()(play)
    error = CliRunner().invoke(app, [toy], input=b"\xff\xfe\n").exception
    assert isinstance(error, UserError)
    assert "not UTF-8" in str(error)


def test_nothing_to_play(tmp_path: Path) -> None:
    assert isinstance(run().exception, UserError)
