"""What a training was at, found from outside: its log, its folder, its recording of rollouts; there are no hooks."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from soak.process import Sdar

PHASES = ("generation", "training", "checkpointing", "evaluation")
"""Those that a table must hit, beside MLflow logging, which goes on beside all of them."""
MLFLOW = "MLflow logging"
RECORD = "rollouts.jsonl"
"""In the working directory: a step's episodes are appended once all are played."""
_EVALUATION = re.compile(r"(base|trained) with(out)? skills \(\d+\)|scoring the transcript.*")
_RECORDED = re.compile(rb'^\{"format":\d+,"step":(\d+),', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Hit:
    phase: str
    step: int
    """Steps in the journal."""
    unsent: int
    """Writes that lay on the disk for MLflow and were not known to have arrived."""

    def __str__(self) -> str:
        waiting = f", {self.unsent} for MLflow" if self.unsent else ""
        return f"{self.phase}, step {self.step}{waiting}"


class Evidence:
    """Of one process of a run, made before it starts."""

    def __init__(self, run: Path, record: Path) -> None:
        self.run = run
        self._record = record
        self._read = record.stat().st_size if record.exists() else 0
        self._recorded = -1

    def steps(self) -> int:
        """The last trained step in the journal, whose lines of steps to be made again are void behind a rewind."""
        try:
            *lines, _ = (self.run / "metrics.jsonl").read_bytes().split(b"\n")
        except (OSError, ValueError):
            return 0
        for line in reversed(lines):
            if b'"rewind"' in line or b'"loss/total"' in line:
                entry = json.loads(line)
                return int(entry.get("rewind", entry.get("step")))
        return 0

    def recorded(self) -> int:
        """The step whose rollout this process recorded last, counted from 0; -1 before the first."""
        try:
            with self._record.open("rb") as file:
                file.seek(self._read)
                text = file.read()
        except OSError:
            return self._recorded
        whole = text[: text.rfind(b"\n") + 1]
        if whole:
            self._read += len(whole)
            self._recorded = int(_RECORDED.findall(whole)[-1])
        return self._recorded

    def is_updating(self) -> bool:
        """Whether a rollout is over whose step is not in the journal yet."""
        return self.recorded() >= 0 and self.recorded() == self.steps()

    def evaluations(self, process: Sdar, of: str) -> int:
        """How many of the ``base`` or of ``trained`` weights the process has begun."""
        return sum(line.startswith(of) and bool(_EVALUATION.fullmatch(line)) for line in process.said().splitlines())

    def status(self) -> str:
        try:
            return str(json.loads((self.run / "run.json").read_bytes()).get("status"))
        except (OSError, ValueError):
            return "?"

    def is_saving(self) -> bool:
        """Whether a checkpoint is half there, or half removed."""
        try:
            return any(path.name.startswith(".step-") for path in (self.run / "checkpoints").iterdir())
        except OSError:
            return False

    def unsent(self) -> int:
        """Writes for MLflow that are on the disk and not noted as sent."""
        spool = self.run / "tracking"
        try:
            *lines, _ = (spool / "spool.jsonl").read_bytes().split(b"\n")
            sent = int((spool / "sent").read_bytes() or 0)
            return sum(json.loads(line).get("n", 0) > sent for line in lines)
        except (OSError, ValueError):
            return 0

    def hit(self, process: Sdar) -> Hit:
        """For a process that was killed just now."""
        return Hit(self._phase(process.said().splitlines()), self.steps(), self.unsent())

    def _phase(self, lines: list[str]) -> str:
        if self.is_saving():
            return "checkpointing"
        for line in reversed(lines):
            if _EVALUATION.fullmatch(line):
                return "evaluation" if self._lacks_cells(line) else "publishing"
            if re.fullmatch(r"training \(\d+\)", line):
                return "training" if self.is_updating() else "generation"
            if line.startswith("warm-up"):
                return "warm-up"
        return "start"

    def _lacks_cells(self, heading: str) -> bool:
        """False where a training is over and all its evaluations are kept: what is left is to publish them."""
        if heading.startswith("base") or self.status() != "evaluating":
            return True
        last = self.steps()
        cells = (f"trained-step-{last}-{mode}.json" for mode in ("no_skills", "skills"))
        return not all((self.run / "evaluations" / name).exists() for name in cells)
