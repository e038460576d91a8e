"""A warm-up's own MLflow run: written once a store, and named on the trainings that start from it."""

from pathlib import Path

import pytest

from sdar_cli.recipe.load import load_recipe
from sdar_cli.tracking.tracker import Tracker
from sdar_cli.training.warmup_cache import WarmBase
from sdar_cli.training.warmup_tracking import TAG, track_warmup

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload``:DeprecationWarning")


def test_a_warm_up_is_tracked_once(store, client):
    recipe = load_recipe("quickstart", [], ["tracking.experiment=warm-ups"]).recipe
    log = [{"step": 10.0, "loss": 2.5, "token_accuracy": 0.5, "learning_rate": 1e-3}]
    warm = WarmBase("abc123", Path("unused"), {"log": log, "updates": 10, "seconds": 3.0})
    for number in range(2):
        tracker = Tracker.start(store, "warm-ups", f"training-{number}", "", {})
        track_warmup(warm, recipe, store, tracker)
        tracker.finish()
        assert client.get_run(tracker.run_id).data.tags[TAG] == "abc123"
    experiment = client.get_experiment_by_name("warm-ups").experiment_id
    (own,) = client.search_runs([experiment], "tags.`sdar.kind` = 'warm-up'")
    assert own.data.metrics["warmup/loss"] == 2.5 and own.info.status == "FINISHED"
    assert own.data.params["warmup.demonstrations"] == "8000"
