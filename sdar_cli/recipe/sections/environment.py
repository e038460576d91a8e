"""``environment``: what is played, and in what processes."""

from __future__ import annotations

from sdar_cli.recipe.sections.section import GiB, Plain, Positive, Seconds, Section


class EnvironmentSection(Section):
    name: str
    """A built-in name, an entry point's, or ``path/to/file.py:Class``."""
    options: Plain = {}
    """Checked against the environment's own ``Options``."""
    workers: Positive = 2
    """Processes of the pool, for environments that need them."""
    timeout: Seconds = 120.0
    """Seconds after which a worker that does not answer is replaced."""
    worker_memory: GiB | None = None
    """GiB that a worker process may hold. It is renewed between episodes when it holds three quarters of them, and
    ended within one when it holds more. null: not watched."""
