"""Which of a run's processes this one is, as torchrun and accelerate tell it."""

from __future__ import annotations

import os
from dataclasses import dataclass

from sdar_cli.errors import UserError


@dataclass(frozen=True, slots=True)
class Place:
    """A process started by a launcher has a place; any other is the only one, of rank 0."""

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    """Among the processes of its machine, and its GPU's number."""
    launched: bool = False

    @classmethod
    def here(cls) -> Place:
        """Raises UserError for variables that no launcher sets."""
        if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
            return cls()
        try:
            rank, world, local = (int(os.environ.get(name, "0")) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
        except ValueError:
            raise UserError(
                "RANK, WORLD_SIZE or LOCAL_RANK is set and no number: unset them, or start the run by torchrun"
            ) from None
        return cls(rank, world, local, launched=True)

    @property
    def is_main(self) -> bool:
        """Whether it is the one that writes and speaks."""
        return self.rank == 0
