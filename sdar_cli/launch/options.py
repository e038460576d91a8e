"""How many processes a run shall be, and who starts them: the options of ``sdar train`` and ``sdar resume``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sdar_cli.errors import UserError
from sdar_cli.launch.dist import DEFAULT, Dist, accelerate_words

Launcher = Literal["torchrun", "accelerate"]
MODULE = "sdar_cli.cli.main"
RENDEZVOUS_ID = "sdar"


@dataclass(frozen=True, slots=True)
class Launch:
    nproc: int | None = None
    """Processes on this machine; None: one a visible GPU."""
    nnodes: int = 1
    rdzv: str | None = None
    """HOST:PORT at which the machines of a run meet."""
    launcher: Launcher = "torchrun"
    dist: Dist = DEFAULT
    extra: tuple[str, ...] = ()
    """Words for the launcher itself."""

    @property
    def is_several(self) -> bool:
        """Whether the options alone say that there are processes to start."""
        return (self.nproc or 1) > 1 or self.nnodes > 1 or bool(self.extra)

    @property
    def own_words(self) -> list[str]:
        """What each of the processes is told of these options."""
        return [] if self.dist == DEFAULT else ["--dist", self.dist]

    def check(self) -> None:
        """Raises UserError for options that do not go together."""
        if self.nnodes > 1 and self.rdzv is None:
            raise UserError(
                f"--nnodes {self.nnodes} needs a place where the machines meet: give every one of them the same "
                "--rdzv HOST:PORT, HOST being one of them"
            )
        if self.rdzv is not None and not _is_address(self.rdzv):
            raise UserError(f"--rdzv {self.rdzv!r} is no HOST:PORT: write for example --rdzv node1:29500")
        if self.nnodes > 1 and self.launcher == "accelerate":
            raise UserError(
                "--launcher accelerate starts the processes of one machine: leave it out, torchrun starts several"
            )

    def check_profile_alone(self) -> None:
        """Raises UserError for options beside a profile of Slurm's, which says how many processes there are, and is
        for torchrun."""
        said = {
            "--nproc": self.nproc is not None,
            "--nnodes": self.nnodes > 1,
            "--rdzv": self.rdzv is not None,
            "--launcher": self.launcher != "torchrun",
            "what is behind --": bool(self.extra),
        }
        if given := [option for option, is_given in said.items() if is_given]:
            raise UserError(
                f"with --slurm the profile's `nodes` and `gpus` say what is started where: leave out {', '.join(given)}"
            )

    def words(self, nproc: int, own: Sequence[str]) -> list[str]:
        """The command that starts ``nproc`` processes of ``sdar`` with its own words, as one would type it."""
        if self.launcher == "accelerate":
            head = ["accelerate", "launch", *accelerate_words(self.dist, nproc)]
        elif self.nnodes == 1 and self.rdzv is None:
            head = ["torchrun", "--standalone", f"--nproc-per-node={nproc}"]
        else:
            head = ["torchrun", f"--nnodes={self.nnodes}", f"--nproc-per-node={nproc}", "--rdzv-backend=c10d"]
            head += [f"--rdzv-endpoint={self.rdzv}", f"--rdzv-id={RENDEZVOUS_ID}"]
        return [*head, *self.extra, "-m", MODULE, *own]


def split_extra(words: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    """A command's own arguments, and the launcher's: those behind ``--``, from the first option on.

    The parser drops the ``--`` itself; no argument of ``sdar`` begins with a dash.
    """
    at = next((place for place, word in enumerate(words) if word.startswith("-")), len(words))
    return list(words[:at]), tuple(words[at:])


def _is_address(text: str) -> bool:
    host, _, port = text.rpartition(":")
    return re.fullmatch(r"[^\s/@]+", host) is not None and port.isdecimal() and 0 < int(port) < 65536
