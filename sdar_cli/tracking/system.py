"""Load of the machine while a run works, by MLflow's own measures, whose values go the way of all others.

MLflow's own thread asks the store whether the run is over before each value, and ends with the first answer that does
not come.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from sdar_cli.errors import RunError

PREFIX = "system/"
LAST_SECONDS = 5.0
"""For a value that is being measured when the run ends; a driver that hangs is not waited for."""
EVERY = 10.0
"""Seconds between two values, unless ``MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL`` says otherwise."""


class SystemMonitor:
    """``put(step, metrics)`` is called from a thread of its own; steps are counted from ``first``."""

    def __init__(self, first: int, put: Callable[[int, Mapping[str, float]], None]) -> None:
        from mlflow.environment_variables import MLFLOW_SYSTEM_METRICS_NODE_ID

        self._every = interval()
        self._samples = samples()
        node = MLFLOW_SYSTEM_METRICS_NODE_ID.get()
        self._prefix = f"{PREFIX}{node}/" if node else PREFIX
        self._step, self._put = first, put
        self._measures = _measures()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sdar-system-metrics", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def finish(self) -> None:
        self._over.set()
        self._thread.join(LAST_SECONDS)

    def _run(self) -> None:
        while True:
            for _ in range(self._samples):
                for measure in self._measures:
                    with suppress(Exception):  # of a driver: this value is left out
                        measure.collect_metrics()
                if self._over.wait(self._every):
                    return
            values = {}
            for measure in self._measures:
                with suppress(Exception):
                    values |= {self._prefix + name: value for name, value in measure.aggregate_metrics().items()}
                measure.clear_metrics()
            self._put(self._step, values)
            self._step += 1


def interval() -> float:
    """Seconds between two values. Raises RunError: the variable holds something else."""
    return _positive("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", EVERY)


def samples() -> int:
    """How often is measured for one value. Raises as ``interval``."""
    return math.ceil(_positive("MLFLOW_SYSTEM_METRICS_SAMPLES_BEFORE_LOGGING", 1.0))


def check_settings() -> None:
    """Raises RunError where a variable says nothing that can be measured by: to be known before a run is made."""
    interval()
    samples()


def _positive(variable: str, otherwise: float) -> float:
    text = os.environ.get(variable, "")
    try:
        value = float(text or otherwise)
    except ValueError:
        value = math.nan
    if not 0 < value <= threading.TIMEOUT_MAX:
        raise RunError(f"{variable} is {text!r}, but must be a number above 0: correct it, or unset it")
    return value


def _measures() -> list[Any]:
    from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
    from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
    from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor
    from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor
    from mlflow.system_metrics.metrics.rocm_monitor import ROCMMonitor

    measures = [CPUMonitor(), DiskMonitor(), NetworkMonitor()]
    for kind in (GPUMonitor, ROCMMonitor):
        try:
            return [*measures, kind()]
        except Exception:  # no such GPU, or no package that measures it
            continue
    return measures
