"""A warm-up's own MLflow run: written once a store, whole, whoever began it and whenever it was cut short."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from sdar_cli.recipe.load import load_recipe
from sdar_cli.tracking.tracker import Tracker
from sdar_cli.tracking.warmup import TAG, write_warmup
from sdar_cli.training.warmed import Warmed
from sdar_cli.training.warmup_cache import REPORT, WarmBase
from sdar_cli.training.warmup_tracking import warmup_content

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

    from sdar_cli.recipe.schema import Recipe

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload``:DeprecationWarning")

LOG = [{"step": float(step), "loss": 2.5 / step, "token_accuracy": 0.5, "learning_rate": 1e-3} for step in range(1, 11)]
WARM = WarmBase("abc123", Path("unused"), {"log": LOG, "updates": 10, "seconds": 3.0})


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return load_recipe("quickstart", [], ["tracking.experiment=warm-ups"]).recipe


def runs(client: MlflowClient, key: str) -> list[Run]:
    experiment = client.get_experiment_by_name("warm-ups").experiment_id
    return client.search_runs([experiment], f"tags.`sdar.kind` = 'warm-up' and tags.`{TAG}` = '{key}'")


def test_a_warm_up_is_tracked_once(store: str, client: MlflowClient, recipe: Recipe) -> None:
    for _ in range(2):
        write_warmup(client, store, warmup_content(WARM, recipe))
    (own,) = runs(client, "abc123")
    assert own.data.metrics["warmup/loss"] == 0.25 and own.info.status == "FINISHED"
    assert own.data.metrics["warmup/seconds"] == 3.0
    assert own.data.params["warmup.demonstrations"] == "8000"
    assert own.info.end_time - own.info.start_time == 3000
    steps = [point.step for point in client.get_metric_history(own.info.run_id, "warmup/loss")]
    assert steps == list(range(1, 11))


@pytest.mark.parametrize("call", ["create_run", "log_text", "log_batch", "set_terminated"])
def test_one_that_was_cut_short_is_completed(
    store: str, client: MlflowClient, recipe: Recipe, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """Killed right after any of its calls: no half of a curve stays, and no point of one is there twice."""
    warm = replace(WARM, key=f"cut-after-{call}")
    done = getattr(type(client), call)

    class Killed(BaseException):
        pass

    def then_killed(*words: object, **named: object) -> None:
        done(*words, **named)
        if call != "log_batch" or "metrics" in named:
            raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(type(client), call, then_killed)
        write_warmup(client, store, warmup_content(warm, recipe))
    (half,) = runs(client, warm.key)
    assert half.info.status == ("FINISHED" if call == "set_terminated" else "RUNNING")
    write_warmup(client, store, warmup_content(warm, recipe))
    (own,) = runs(client, warm.key)
    assert own.info.run_id == half.info.run_id and own.info.status == "FINISHED"
    for name in ("warmup/loss", "warmup/token_accuracy"):
        steps = [point.step for point in client.get_metric_history(own.info.run_id, name)]
        assert steps == list(range(1, 11))
    assert own.data.params["warmup.demonstrations"] == "8000"


def test_it_is_a_write_like_others_and_put_down_once(
    store: str, client: MlflowClient, recipe: Recipe, tmp_path: Path
) -> None:
    """Put down beside the run's own writes, so that a store that is away holds no training up."""
    odd = {"step": 11.0, "loss": float("nan"), "token_accuracy": 0.75}
    warm = replace(WARM, key="spooled", report=WARM.report | {"log": [*LOG, odd], "updates": 11})
    tracker = Tracker.start(store, "warm-ups", "of-it", "", {}, spool=tmp_path / "tracking")
    for _ in range(2):
        tracker.warm_up(warmup_content(warm, recipe))
    assert tracker.finish() == 0
    (own,) = runs(client, "spooled")
    assert own.info.status == "FINISHED" and own.data.metrics["warmup/token_accuracy"] == 0.75
    assert own.data.metrics["warmup/loss"] == 0.25


WHOLE = {
    **dict.fromkeys(("demonstrations", "examples", "prompt_tokens_with_skills", "prompt_tokens_without_skills"), 8),
    "folder": None,
    "skipped": 0,
    "updates": 2,
    "seconds": 1.5,
    "metrics": {},
    "log": [{"step": 1.0}],
}


def resumed(recipe: Recipe, folder: Path, report: Any) -> WarmBase | None:
    (folder / REPORT).write_text(json.dumps(report))
    run = SimpleNamespace(base=folder, state=SimpleNamespace(warmup="abc"))
    return Warmed.of(SimpleNamespace(warmup=None), SimpleNamespace(recipe=recipe), run).warmup


@pytest.mark.parametrize(
    "report",
    [
        *({}, [], 5),
        *(WHOLE | {"updates": value} for value in (None, "2", 1.5, True)),
        *(WHOLE | {"seconds": value} for value in (None, "1", [], 10**400)),
        *(WHOLE | {"log": value} for value in (None, 5, [5], [[]], {"a": 1})),
    ],
)
def test_a_report_of_another_kind_is_none(recipe: Recipe, tmp_path: Path, report: Any) -> None:
    """A run is resumed without the curves of its warm-up where an older version wrote them otherwise."""
    assert resumed(recipe, tmp_path, report) is None


def test_values_that_are_no_numbers_are_left_out(recipe: Recipe, tmp_path: Path) -> None:
    row = {"step": 1, "loss": None, "a": "b", "b": True, "d": 0.5}
    warm = resumed(recipe, tmp_path, WHOLE | {"log": [row, {"loss": 2}]})
    assert warm is not None and warmup_content(warm, recipe)["log"] == [{"step": 1, "d": 0.5}, {"loss": 2}]
