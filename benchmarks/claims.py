"""The paper's claims put to the test on a laptop: many short runs, one CSV, one table and verdict a claim.

    python benchmarks/claims.py --jobs 2          # run what the CSV lacks, then print the report
    python benchmarks/claims.py --report          # the report alone, as Markdown
    python benchmarks/claims.py --plan            # what would run, and how long it may take

Every run is an ordinary training of ``recipes/household-claims.yaml`` with overrides; the world (its
rulebook), the weights, the task order and the sampling all follow the run's seed. A method's settings are
chosen on tuning seeds, and what is reported comes from seeds that no choice has seen. The CSV is written
after every run, and a run that it holds is never run again. See ``claims/`` beside this file.
"""

import sys

from claims.command import main

if __name__ == "__main__":
    sys.exit(main(__doc__))
