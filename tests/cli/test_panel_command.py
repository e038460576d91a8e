"""``sdar panel``: makes, shows, compares and lists panels, also of the official layout of ALFWorld's games."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from sdar_cli.cli.main import main
from sdar_cli.environments import resolve_environment
from sdar_cli.evaluation.panel import Panel, task_options
from sdar_cli.evaluation.panel_files import find_panel, shipped_panels
from sdar_cli.recipe.load import load_recipe
from sdar_cli.recipe.plan import panel_facts
from sdar_envs.alfworld.world import TASK_TYPES

needs_engine = pytest.mark.skipif(importlib.util.find_spec("alfworld") is None, reason="no alfworld extra")


class Sdar:
    """The entry point in this process; keeps what the last call said."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *first: str) -> None:
        self.capsys, self.first, self.out, self.err = capsys, first, "", ""

    def __call__(self, *words: str | Path) -> int:
        status = main([str(word) for word in (*self.first, *words)])
        self.out, self.err = self.capsys.readouterr()
        return status

    def json(self, *words: str | Path) -> Any:
        assert self(*words, "--json") == 0, self.err
        return json.loads(self.out)

    def mistake(self, *words: str | Path) -> str:
        """The one sentence of a mistake; nothing on standard output."""
        status = self(*words)
        assert (status, self.out) == (2, "") and self.err.startswith("error: ") and self.err.count("\n") == 1, self.err
        return self.err.removeprefix("error: ").strip()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def panel(here: Path, capsys: pytest.CaptureFixture[str]) -> Sdar:
    """``panel("show", …)`` runs ``sdar panel show …`` in a fresh folder."""
    return Sdar(capsys, "panel")


# --- make ---


def test_a_panel_made_from_a_recipe_is_the_one_its_runs_draw(panel: Sdar) -> None:
    made = panel.json("make", "--recipe", "quickstart", "--out", "mine.json")
    assert made["digest"] == panel_facts(load_recipe("quickstart")).digest == Panel.load(Path("mine.json")).digest
    assert made["file"] == "mine.json" and made["tasks"] == 192 and sum(made["task_types"].values()) == 192


def test_options_change_what_the_recipe_says(panel: Sdar) -> None:
    words = ["--recipe", "quickstart", "--split", "test", "--tasks", "60", "--seed", "7", "environment.options.verbs=1"]
    assert panel("make", *words, "--out", "new/mine.json") == 0
    assert "wrote new/mine.json" in panel.err and "verbs=1" in panel.out
    made = Panel.load(Path("new/mine.json"))
    assert (len(made), made.seed, made.split, made.settings["verbs"]) == (60, 7, "test", 1)
    changed = load_recipe("quickstart", [], ["evaluation.tasks=60", "evaluation.panel_seed=7", words[-1]])
    assert made.digest == panel_facts(changed).digest
    assert f"digest       {made.digest}" in panel.out and re.search(r"^all +60$", panel.out, re.M)


def test_an_environment_alone_has_its_own_defaults(panel: Sdar, toy: Path) -> None:
    made = panel.json("make", "--environment", "toy.py:Toy", "--tasks", "9", "--data", "somewhere", "--out", "a.json")
    assert (made["environment"], made["split"], made["settings"]) == ("toy", "test", {"size": 3, "data": "somewhere"})
    words = ["evaluation.tasks=9", "environment.options.data=somewhere"]
    assert panel.json("make", "--environment", "toy.py:Toy", *words, "--out", "b.json")["digest"] == made["digest"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--recipe", "quickstart", "--split", "train"], "192 of 192 tasks of the panel are training tasks, for"),
        (["--recipe", "quickstart", "--split", "dev"], "household has no split 'dev': set evaluation.split to one of"),
        (["--recipe", "quickstart", "--tasks", "5000"], "which has 408: set evaluation.tasks to a number from 1 to"),
        (["--recipe", "quickstart", "--environment", "household"], "give one of --recipe and --environment"),
        ([], "give one of --recipe and --environment"),
        (["--recipe", "quikstart"], "did you mean 'quickstart'?"),
        (["--environment", "household", "--data", "x"], "there is no key 'environment.options.data'"),
        (["--environment", "household", "evaluation.taks=3"], "did you mean 'evaluation.tasks'?"),
        (["--environment", "household", "train.steps=3"], "the override train.steps=3: there is no key 'train'"),
        (["--environment", "household", "--seed", "-1"], "--seed: evaluation.panel_seed is -1, but must be"),
        (["--environment", "household", "environment.options.things=0"], "environment.options.things is 0, but must"),
        (["--environment", "household", "x"], "the override 'x' has no value"),
    ],
)
def test_what_cannot_be_made_is_one_sentence_and_writes_nothing(panel: Sdar, words: list[str], says: str) -> None:
    assert says in panel.mistake("make", *words, "--out", "mine.json")
    assert not Path("mine.json").exists()


def test_a_file_that_is_there_is_kept(panel: Sdar, here: Path) -> None:
    (here / "mine.json").write_text("precious")
    words = ["make", "--recipe", "quickstart", "--tasks", "6"]
    assert panel.mistake(*words, "--out", "mine.json") == (
        "mine.json exists already: give another name, or --force to replace it"
    )
    assert (here / "mine.json").read_text() == "precious"
    assert panel.mistake(*words, "--force", "--out", here).endswith("is a folder: give the name of a file")
    assert "cannot be written" in panel.mistake(*words, "--out", "mine.json/other.json")
    assert panel(*words, "--force", "--out", "mine.json") == 0
    assert len(Panel.load(here / "mine.json")) == 6


# --- ls ---


def test_ls_lists_the_shipped_panels(panel: Sdar) -> None:
    listed = panel.json("ls")
    assert [entry["name"] for entry in listed] == shipped_panels()
    assert panel("ls") == 0
    for entry in listed:
        assert re.search(rf"^{entry['name']} .* {entry['tasks']} +{entry['digest'][:12]}", panel.out, re.M)


# --- show ---


def test_show_says_where_a_panel_is_from_and_what_it_holds(panel: Sdar) -> None:
    assert panel("show", "household") == 0
    lines = panel.out.splitlines()
    assert lines[0] == "environment  household, split test, seed 0"
    assert "verbs=2" in lines[1] and lines[2].split()[1] == find_panel("household").digest
    assert re.search(r"^look_at_obj_in_light +32$", panel.out, re.M)
    assert lines[-5:] == list(find_panel("household").task_ids[:5]) and "187 more" in panel.err
    assert panel("show", "household", "--ids") == 0
    assert panel.out.splitlines()[-192:] == list(find_panel("household").task_ids) and panel.err == ""
    shown = panel.json("show", "household")
    assert len(shown["task_ids"]) == 192 and shown["checked_against_training_tasks"] is None


def test_show_leaves_out_what_only_a_generator_reads(panel: Sdar) -> None:
    assert panel("show", "alfworld-valid-seen-128") == 0
    assert panel.out.splitlines()[1] == "options      games=official"
    assert panel.json("show", "alfworld-valid-seen-128")["settings"]["receptacles"] == 6
    assert panel("show", "alfworld-generated") == 0
    assert all(f" {key}=" in panel.out for key in ("games", "train", "seed", "receptacles", "max_expert_turns"))


@pytest.mark.parametrize(
    ("environment", "source", "always"),
    [
        ("webshop", "products", ("goals", "legacy_split", "train", "test")),
        ("search-qa", "questions", ("topk", "max_searches")),
    ],
)
def test_each_environment_says_what_only_its_generator_reads(
    panel: Sdar, environment: str, source: str, always: tuple[str, ...]
) -> None:
    options = resolve_environment(environment).Options
    for value in ("official", "generated"):
        settings = task_options(options.model_validate({source: value}))
        Panel(environment, "0" * 64, "test", 0, ("a",), ("t",), settings).save(Path("mine.json"))
        assert panel("show", "mine.json") == 0
        shown = {pair.split("=")[0] for pair in panel.out.splitlines()[1].split()[1:]}
        assert shown == ({source, *always} if value == "official" else set(settings))


def test_an_environment_that_is_not_at_hand_shows_every_option(panel: Sdar) -> None:
    settings = {"questions": "official", "seed": 3}
    for name in ("elsewhere", "gone.py:Gone"):
        Panel(name, "0" * 64, "test", 0, ("a",), ("t",), settings).save(Path("mine.json"))
        assert panel("show", "mine.json") == 0
        assert panel.out.splitlines()[1] == "options      questions=official seed=3"


def test_check_holds_a_panel_against_its_own_options_or_a_recipes(panel: Sdar) -> None:
    assert panel.json("show", "household", "--check")["checked_against_training_tasks"] == 1248
    assert panel("show", "household", "--check", "--recipe", "quickstart") == 0
    assert "all 192 tasks are there, none is among the 1248 training tasks" in panel.out
    says = panel.mistake("show", "household", "--check", "--recipe", "alfworld-tiny")
    assert "drawn from household, not from alfworld" in says
    panel("make", "--environment", "household", "--tasks", "5", "--out", "mine.json")
    says = panel.mistake("show", "mine.json", "--check", "--recipe", "quickstart")
    assert "with other options (clutter is 2 in the panel and 1 here, things is 24 in the panel and 12 here)" in says
    assert "add --check" in panel.mistake("show", "household", "--data", "x")


def test_check_finds_overlap_missing_tasks_and_other_types(panel: Sdar, here: Path, toy: Path) -> None:
    section = ("--check", "--recipe", "toy.yaml")
    assert panel("make", "--recipe", "toy.yaml", "--tasks", "3", "--out", "mine.json") == 0
    assert panel("show", "mine.json", *section) == 0
    assert "'toy' is not one that sdar finds by its name: give --recipe" in panel.mistake(
        "show", "mine.json", "--check"
    )
    made = Panel.load(here / "mine.json")

    def changed(**values: Any) -> str:
        fields = {name: getattr(made, name) for name in ("environment", "options", "split", "seed", "task_ids")}
        Panel(**{**fields, "task_types": made.task_types, "settings": made.settings} | values).save(here / "x.json")
        return panel.mistake("show", "x.json", *section)

    trained = ("train-0", "train-1", "train-2")
    assert "3 of 3 tasks of the panel are training tasks" in changed(split="train", task_ids=trained)
    assert "1 of 3 tasks of the panel are not in split 'test'" in changed(task_ids=("test-0", "test-1", "gone"))
    assert "has the type 'only', not 'other' as the panel says" in changed(task_types=("only", "other", "only"))


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        ("hosehold", "there is no panel 'hosehold': did you mean 'household'?"),
        ("zzz", "there is no panel 'zzz': choose one from `sdar panel ls`, or give the file of a panel"),
        ("gone.json", "the panel gone.json does not exist: correct the path"),
        ("some/where", "the panel some/where does not exist: correct the path"),
        (".", "the panel . is a folder: give the file of a panel"),
        ("", "there is no panel '': choose one from"),
        ("a\0b", "there is no panel"),
        ("toy.py", "is not JSON (line 2: Expecting value): give a file that sdar wrote"),
    ],
)
def test_a_panel_that_is_not_there_is_one_sentence(panel: Sdar, toy: Path, reference: str, says: str) -> None:
    assert says in panel.mistake("show", reference)


# --- diff ---


def test_equal_panels_are_exit_code_0(panel: Sdar) -> None:
    panel("make", "--recipe", "quickstart", "--out", "mine.json")
    assert panel("diff", "household", "mine.json") == 0
    assert panel.out.splitlines()[-1] == "equal" and "other" not in panel.out
    assert panel.json("diff", "household", "mine.json")["equal"] is True


def test_others_are_exit_code_1_and_say_in_what(panel: Sdar) -> None:
    words = ["make", "--recipe", "quickstart", "environment.options.clutter=3", "--tasks", "200"]
    panel(*words, "--out", "other.json")
    assert panel("diff", "household", "other.json") == 1
    assert re.search(r"^  clutter +1 +3 +other", panel.out, re.M) and "not equal" in panel.out
    assert re.search(r"^shared    192 tasks, in the same order$", panel.out, re.M)
    assert re.search(r"^only in A 0 tasks$", panel.out, re.M) and "only in B 8 tasks, for example" in panel.out
    assert panel("diff", "household", "other.json", "--json") == 1
    content = json.loads(panel.out)
    assert content["same"] == {"environment": True, "options": False, "split": True, "seed": True}
    assert content["other_options"] == {"clutter": [1, 3]}
    assert (content["shared"], content["same_order"], len(content["only_second"])) == (192, True, 8)


def test_order_and_another_environment_are_seen(panel: Sdar, here: Path) -> None:
    made = find_panel("household")
    ids = (*made.task_ids[1:], made.task_ids[0])
    Panel(made.environment, made.options, made.split, made.seed, ids).save(here / "turned.json")
    assert panel("diff", "household", "turned.json") == 1
    assert "shared    192 tasks, in another order" in panel.out
    assert panel("diff", "household", "alfworld-generated") == 1
    assert re.search(r"^environment +household +alfworld +other", panel.out, re.M)
    assert re.search(r"^shared    0 tasks$", panel.out, re.M)
    assert panel.mistake("diff", "household", "gone").startswith("there is no panel 'gone'")


# --- the official layout ---


@pytest.fixture(scope="module")
def games(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generated games in the official layout, with names as the release has them."""
    from sdar_envs.alfworld.generated import Suite, generate

    made = generate(Suite(train=12, test=6, seed=0, receptacles=4, things=3, max_expert_turns=12))
    root = tmp_path_factory.mktemp("official") / "json_2.1.1"
    for split, source in (("train", "train"), ("valid_seen", "test"), ("valid_unseen", "test")):
        for number, game in enumerate(sorted((made / "json_2.1.1" / source).iterdir())):
            trial = root / split / game.name.rpartition("-")[0] / f"trial_T20190101_000000_{number:06d}"
            shutil.copytree(game, trial)
    return root.parent


@needs_engine
@pytest.mark.engine
@pytest.mark.parametrize("split", ["valid_seen", "valid_unseen"])
def test_a_split_of_the_official_layout_gives_a_panel_of_any_size(panel: Sdar, games: Path, split: str) -> None:
    full: list[str] = []
    for size in (6, *range(1, 6)):
        words = ["--environment", "alfworld", "--split", split, "--tasks", str(size), "--data", games]
        made = panel.json("make", *words, "--out", f"{size}.json")
        ids = panel.json("show", f"{size}.json", "--check", "--data", games)["task_ids"]
        full = full or ids
        assert ids == full[:size] and made["tasks"] == size
        assert all(task_id.startswith(f"{split}/") for task_id in ids)
    assert Counter(task_id.split("/")[1].split("-")[0] for task_id in full) == dict.fromkeys(TASK_TYPES, 1)
    words[words.index("--tasks") + 1] = "7"
    assert "set evaluation.tasks to a number from 1 to 6" in panel.mistake("make", *words, "--out", "7.json")


@needs_engine
@pytest.mark.engine
def test_a_missing_split_names_its_remedy(panel: Sdar, games: Path, here: Path) -> None:
    for split in ("train", "valid_seen"):
        shutil.copytree(games / "json_2.1.1" / split, here / "json_2.1.1" / split)
    words = ["make", "--environment", "alfworld", "--data", here, "--tasks", "3", "--out", "x.json"]
    says = panel.mistake(*words, "--split", "valid_unseen")
    assert says.startswith(f"the official ALFWorld games at {here}/json_2.1.1 have train and valid_seen, but no valid_")
    assert f"run `sdar data alfworld --fetch --data {here}`" in says
    assert panel(*words, "--split", "valid_seen") == 0


def test_nothing_heavy_is_loaded(here: Path) -> None:
    code = (
        "import sys\nfrom sdar_cli.cli.main import main\n"
        "assert main(['panel', 'make', '--recipe', 'quickstart', '--out', 'a.json']) == 0\n"
        "assert main(['panel', 'show', 'a.json', '--check']) == main(['panel', 'diff', 'a.json', 'household']) == 0\n"
        "heavy = {'torch', 'transformers', 'mlflow', 'pandas', 'scipy', 'textworld'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=here, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
