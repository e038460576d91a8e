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
    "mapping": r"^error: (?:bank/(?:skill_mapping\.json|heat\.txt|general\.md|sub/clean\.md)|skill bank) ",
    "model": r"^error: (?:model/\S+ |(?:the [a-z ]+ )?'model' holds )",
    "override": r"the override|^error: quickstart: no model",
    "panel": r"the panel panel\.json",
    "parquet": r"\.parquet",
    "recipe": r"\.yaml|the recipe|^error: (?:d{200}|n{200})",
    "recording": r"\br\.jsonl",
    "run": r"/runs\b",
    "skills": r"^error: (?:bank/\S.* |skill bank \S.* |bank holds the bank )",
    "slurm": r"\.yaml|^error: (?:d{200}|n{200})",
    "space": r"axis|gate\.beta=\S+ (?:has no|a study) |\.yaml|the override|the setting|the grid|neither a command|"
    r"^error: (?:d{200}|n{200})",
    "study": r"/studies/study/study\.json|there is no study in",
    "study's journal": r"/studies/study/journal\.log",
    "transcript": r"the transcript \S+/transcripts/base-no_skills\.jsonl\.gz",
    "webshop_json": r"source|new/store|/dev/zero|^error: there is no \S+: name the folder that holds items_",
    "webshop_store": r"\bstore\b",
}
"""Kind → what each line of a refusal names: the file, or the words that were typed."""

_NOT_WRITTEN = dict.fromkeys(("missing", "misspelt", "type"), r"/out holds \S.*, which the export there did not write")
_STORE = r"^error: (?:store/store\.sqlite |store is not whole |there is no (?:store in|whole index in) store)"
_ANOTHER = r"^error: index was built by another version of sdar:"
_NO_UCB = r"^error: the checkpoint's 'retriever' is no state of ucb:"
ELSEWHERE: Mapping[str, Mapping[str, str]] = {
    "checkpoint": dict.fromkeys(("type", "missing", "misspelt", "unknown"), _NO_UCB),
    "corpus": {"escape": r"^error: (?:the corpus .*(?:does not exist|is an? |cannot be |leads? )|\S+ exists:)"},
    "export": _NOT_WRITTEN,
    "mapping": {"escape": r"^error: skill bank \S+ is not a folder:"},
    "skills": {
        "escape": r"^error: (?:skill bank .+ is not a folder:|bank holds the bank bank/sub,)",
        "size": r"^error: skill bank bank holds more than \d+ skills:",
    },
    "study": {"place": r"^error: there is no study in \S+/runs:"},
    "model": {"missing": r"^error: the folder 'model' holds no (?:\w+\.json|(?:adapter_)?model[-\w]*\.safetensors):"},
    "run": {"place": r"^error: there is no run or model 'a' \(looked in \S+/runs\):"},
    "webshop_json": {
        "escape": r"^error: (?:new/store(?:\.draft)?|source)[ /]",
        "place": r"^error: source holds no items_(?:shuffle|ins_v2)\*\.json:",
    },
    "webshop_store": dict.fromkeys(("edited", "flip", "number", "type", "missing", "escape", "place"), _STORE),
    "index": {
        "edited": rf"{_ANOTHER}|^error: (?:index is an index of the kind |"
        r"the corpus \S* ?(?:is a |has |does not )|index/offsets\.npy does not belong|"
        r"the index index/vectors\.faiss does not )",
        "flip": r"^error: index/corpus\.jsonl: passage \d ",
        **dict.fromkeys(("type", "number", "missing", "misspelt"), _ANOTHER),
    },
}
"""Kind → class → what its sentences name where they name none of the files that are damaged."""
