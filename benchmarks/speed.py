"""All benchmarks of speed side by side: ratios with their spread, and the targets they were built for.

    python benchmarks/speed.py [--only step startup …] [--repeats N]   # measure, print, keep in results/speed.json
    python benchmarks/speed.py --table                                 # the table again, from what is kept
    python benchmarks/speed.py --markdown                              # the tables of docs/performance.md
    python benchmarks/speed.py --embed                                 # … written into the page

Every part is a program of its own beside this one, which says in its first lines what it measures. Both sides of a
ratio are measured in one run; printed are the median and the quartiles over repetitions. A target is met when the
median reaches it. With ``--only`` the other parts stay as they were kept.
"""

import sys

from speed.command import main

if __name__ == "__main__":
    sys.exit(main(__doc__))
