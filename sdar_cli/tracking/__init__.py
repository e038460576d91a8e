"""Where a run is written down: MLflow, the journal of metrics, plots and traces."""
