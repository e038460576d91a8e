"""What MLflow holds of a run: each metric of each step once, under one run, and each trace once."""

from __future__ import annotations

import sqlite3
from collections import Counter

from sdar_cli.runs.store import RunFolder


def assert_each_step_once(uri: str, run: RunFolder) -> None:
    """
    Args:
        uri: a SQLite store.
        run: a run that is over, and whose writes have arrived.
    """
    own = run.state.mlflow_run_id
    with sqlite3.connect(f"file:{uri.removeprefix('sqlite:///')}?mode=ro", uri=True) as store:
        folder = store.execute(
            "select r.run_uuid from runs r join tags f on f.run_uuid = r.run_uuid and f.key = 'sdar.folder' "
            "where f.value = ? and r.lifecycle_stage = 'active'",
            (str(run.path),),
        ).fetchall()
        assert folder == [(own,)], "one MLflow run a folder"
        points = store.execute("select key, step from metrics where run_uuid = ?", (own,)).fetchall()
        traces = store.execute(
            "select s.value, m.value, k.value, i.request_preview from trace_info i "
            "join trace_request_metadata r on r.request_id = i.request_id and r.key = 'mlflow.sourceRun' "
            "join trace_tags s on s.request_id = i.request_id and s.key = 'step' "
            "join trace_tags m on m.request_id = i.request_id and m.key = 'mode' "
            "join trace_tags k on k.request_id = i.request_id and k.key = 'task_id' where r.value = ?",
            (own,),
        ).fetchall()
    twice = [point for point, count in Counter(points).items() if count > 1]
    assert not twice, f"{len(twice)} metrics are there more than once, such as {twice[0]}"
    steps = {step for key, step in points if key == "loss/total"}
    assert steps == set(range(1, run.state.step + 1)), "each step is there"
    limit = run.recipe().tracking.traces
    crowded = [of for of, count in Counter((step, mode) for step, mode, *_ in traces).items() if count > limit]
    assert not crowded, f"more than {limit} traces of {crowded}"
