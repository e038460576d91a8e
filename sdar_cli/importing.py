"""Python's cyclic garbage collector keeps away from what large libraries define.

Modules stay until the end. The collector would walk over all of them time and again while they grow, and at each of
its full rounds later; without that a training is at its first step in a tenth less time.
"""

from __future__ import annotations

import atexit
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

MANY = 100
"""New modules that are worth it."""


@contextmanager
def importing() -> Iterator[None]:
    """Rest while the block imports; what there is at its end is left out of all later rounds.

    For the start of a process, before there are weights: in a ring of garbage, these would never be freed. Where all
    is imported already, nothing is left out.
    """
    enabled, before = gc.isenabled(), len(sys.modules)
    gc.disable()
    try:
        yield
    finally:
        if len(sys.modules) - before >= MANY:
            gc.freeze()
            atexit.register(gc.unfreeze)  # extension modules complain of what is never collected
        if enabled:
            gc.enable()
