"""Kill, starve and disturb trainings for an hour, and compare every ending with an undisturbed one.

    python benchmarks/soak.py [--minutes 60] [--kills 50] [--jobs 2] [--seed 0]
    python benchmarks/soak.py --kills 4 --minutes 0      # the table alone, short

First a table: so many short trainings, each killed with SIGKILL at an instant drawn in one of six phases (some again
in their resumption) and resumed until they end. Then, for the rest of the minutes, two long trainings of the same
seed in an environment that crashes, hangs and answers garbage: one is left alone; the other is killed, told to stop
by every signal, cut off from its MLflow server, given a full disk, a torn checkpoint and foreign files, and goes on
by ``sdar train --auto-resume`` each time. Equal means: the same tensors, random states, metrics, evaluations,
transcripts, report, flagged episodes and MLflow history (of the short ones every rollout's tokens too), all but what
a clock measured. See ``soak/`` beside this file. The last lines are the verdicts. Exit code 1 when anything differs or
no kill hit one of generation, training, checkpointing, evaluation and MLflow logging; the folders are kept then.
"""

import sys

from soak.command import main

if __name__ == "__main__":
    sys.exit(main(__doc__))
