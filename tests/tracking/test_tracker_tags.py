"""Tags that come and go, in a real store."""

from __future__ import annotations

import pytest

from sdar_cli.tracking.tracker import Tracker

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload``:DeprecationWarning")


def test_a_tag_is_set_replaced_and_removed(store: str, client) -> None:
    said: list[str] = []
    tracker = Tracker.start(store, "toy", "toy-run", "name: toy\n", {}, say=said.append)
    for value in ("step 3: one", "step 9: two"):
        tracker.tag("sdar.warning.kl", value)
    assert client.get_run(tracker.run_id).data.tags["sdar.warning.kl"] == "step 9: two"
    for _ in range(2):
        tracker.untag("sdar.warning.kl")
    assert "sdar.warning.kl" not in client.get_run(tracker.run_id).data.tags
    tracker.finish()
    assert said == [], "removing what is not there is no mistake"
