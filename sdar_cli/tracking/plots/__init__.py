"""A run's curves as pictures, from the rows of its journal.

    write_plots(journal.read(), folder)     # success.png, gap_and_gate.png, …

One module a picture: it takes the rows and returns a figure, or None where its metrics are missing.
"""

from sdar_cli.tracking.plots.gallery import PLOTS, write_plots

__all__ = ["PLOTS", "write_plots"]
