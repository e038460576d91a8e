"""What the sentences of each kind must name."""

from __future__ import annotations

from collections.abc import Mapping

NAMES: Mapping[str, str] = {
    "alfworld": r"/json_2\.1\.1",
    "checkpoint": r"/step-3/sdar\.json|the checkpoint's 'retriever'",
    "manifest": r"checkpoint of step 3 of a (?:has|lacks) ",
    "corpus": r"^error: (?:the corpus |corpus\.jsonl|größer|taken exists)",
    "evaluation": r"/evaluations/trained-step-\d-no_skills\.json",
    "export": r"/out holds (?:something else than an export of sdar's|\S+( and \d+ more)?, which )",
    "index": r"\bindex\b|the corpus",
    "journal": r"/runs/a/metrics\.jsonl",
    "mapping": r"bank",
    "model": r"\bmodel",
    "override": r"the override|^error: quickstart: no model",
    "panel": r"the panel panel\.json",
    "parquet": r"\.parquet",
    "recipe": r"\.yaml|the recipe|^error: (?:d{200}|n{200})",
    "recording": r"\br\.jsonl",
    "run": r"/runs\b",
    "skills": r"bank",
    "slurm": r"\.yaml|^error: (?:d{200}|n{200})",
    "space": r"axis|gate\.beta=\S+ (?:has no|a study) |\.yaml|the override|the setting|the grid|neither a command|"
    r"^error: (?:d{200}|n{200})",
    "study": r"/studies/study/study\.json|there is no study in",
    "study's journal": r"/studies/study/journal\.log",
    "transcript": r"the transcript \S+/transcripts/base-no_skills\.jsonl\.gz",
    "webshop_json": r"source|new/store|/dev/zero",
    "webshop_store": r"\bstore\b",
}
"""Kind → what each line of a refusal names: the file, or the words that were typed."""
