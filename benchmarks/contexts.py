"""What window and full context cost, and how well a policy learns under each.

    python benchmarks/contexts.py [--only tokens time quality] [--json FILE]
    python benchmarks/contexts.py --markdown           # the tables of docs/contexts.md, from the committed files
    python benchmarks/contexts.py --embed              # … written into the page
    python benchmarks/contexts.py --train --seeds 0 1  # trains what the table of quality lacks: minutes a run

``tokens``: episodes of household and of ALFWorld's generated games, of 5 to 50 turns, told under both contexts and
counted: what generation reads, with and without a prefix cache as vLLM has it, and what training and teacher read.
``time``: answering and training on such episodes under both, with the quickstart's model, as ratios of paired
repetitions. ``quality``: the quickstart recipe's runs that ``--train`` made, paired by seed.
"""

import sys

from contexts.command import main

if __name__ == "__main__":
    sys.exit(main(__doc__))
