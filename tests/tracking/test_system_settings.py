"""What MLflow's own variables say of the measuring of the machine."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from sdar_cli.errors import RunError
from sdar_cli.tracking import system
from sdar_cli.tracking.system import EVERY, SystemMonitor, interval
from sdar_cli.tracking.tracker import Tracker

INTERVAL, SAMPLES = "MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "MLFLOW_SYSTEM_METRICS_SAMPLES_BEFORE_LOGGING"


@pytest.mark.parametrize("text", ["abc", "-1", "0", "nan", "inf", "1e300"])
def test_what_is_no_number_of_seconds_is_a_sentence(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """A wait of a negative time is none: the thread would never rest."""
    monkeypatch.setenv(INTERVAL, text)
    with pytest.raises(RunError, match=f"{INTERVAL} is '{text}', but must be a number above 0"):
        interval()


def test_what_is_said_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(INTERVAL, raising=False)
    assert interval() == EVERY
    monkeypatch.setenv(INTERVAL, "2.5")
    assert interval() == 2.5


def test_samples_that_are_none_are_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SAMPLES, "-3")
    with pytest.raises(RunError, match=f"{SAMPLES} is '-3'"):
        SystemMonitor(0, lambda step, values: None)


def test_a_driver_that_fails_costs_its_own_values(monkeypatch: pytest.MonkeyPatch) -> None:
    class Measure:
        def __init__(self, value: float) -> None:
            self.value = value

        def collect_metrics(self) -> None:
            pass

        def aggregate_metrics(self) -> dict[str, float]:
            if math.isnan(self.value):
                raise ZeroDivisionError
            return {"load": self.value}

        def clear_metrics(self) -> None:
            pass

    monkeypatch.setenv(INTERVAL, "0.001")
    monkeypatch.setattr(system, "_measures", lambda: [Measure(math.nan), Measure(0.5)])
    found = []
    monitor = SystemMonitor(7, lambda step, values: (found.append((step, values)), monitor._over.set()))
    monitor.start()
    monitor._thread.join(30.0)
    monitor.finish()
    assert found == [(7, {"system/load": 0.5})]


@pytest.mark.filterwarnings("ignore:The ``noload``:DeprecationWarning")
@pytest.mark.parametrize("variable", [INTERVAL, SAMPLES])
def test_it_is_said_before_a_run_is_made(
    store: str, client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """Which would stay RUNNING in the store for ever."""
    monkeypatch.setenv(variable, "abc")
    with pytest.raises(RunError, match=f"{variable} is 'abc'"):
        Tracker.start(store, "bad-variable", "r", "", {}, system_metrics=True, spool=tmp_path / "tracking")
    assert client.get_experiment_by_name("bad-variable") is None and not (tmp_path / "tracking").exists()
