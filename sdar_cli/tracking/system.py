"""Load of the machine while a run works: MLflow's own measuring, whose values go the way of all others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def monitor(run_id: str, first: int, put: Callable[[int, Mapping[str, float]], None]) -> Any:
    """A thread that measures every ten seconds (``start``, ``finish``); ``put(step, metrics)`` takes what it finds.

    Steps are counted from ``first``. MLflow's own thread ends with the first answer that the store does not give.
    """
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    class Monitor(SystemMetricsMonitor):
        def monitor(self) -> None:
            while not self._shutdown_event.is_set():
                for _ in range(self.samples_before_logging):
                    self.collect_metrics()
                    if self._shutdown_event.wait(self.sampling_interval):
                        return
                self.publish_metrics(self.aggregate_metrics())

        def publish_metrics(self, metrics: Mapping[str, float]) -> None:
            prefix = self._metrics_prefix + (f"{self.node_id}/" if self.node_id else "")
            put(self._logging_step, {prefix + name: value for name, value in metrics.items()})
            self._logging_step += 1
            for one in self.monitors:
                one.clear_metrics()

    made = Monitor(run_id)
    made._logging_step = first
    return made
