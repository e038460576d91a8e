"""Do intervals cover, and tests err, as often as they say? By enumeration where it can be done, else by simulation.

    python benchmarks/calibration.py              # everything: the CSV, the figures, the tables; minutes
    python benchmarks/calibration.py --quick      # fewer draws and sample sizes, into another CSV; seconds
    python benchmarks/calibration.py --tables     # the tables of docs/statistics.md from the CSV alone

Every draw is seeded: the same command gives the same CSV. The worlds are those of ``calibration/worlds.py``.
"""

import sys

from calibration.command import main

if __name__ == "__main__":
    sys.exit(main(__doc__))
