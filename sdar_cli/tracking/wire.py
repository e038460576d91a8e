"""What MLflow's stores take: names, lengths, entries a call, and which of their errors are final."""

from __future__ import annotations

import json
import posixpath
import re
from enum import Enum
from typing import Any

from sdar_cli.errors import without_credentials

PARAM_LIMIT = 500
"""Characters of a parameter that every supported MLflow server accepts; the recipe holds the whole."""
METRICS_PER_CALL = 1000
PARAMS_PER_CALL = 100
_NOT_FINAL = (401, 403, 404, 408, 409, 429, 499)
_WRONG = ("INVALID_PARAMETER_VALUE", "RESOURCE_ALREADY_EXISTS")
_BUSY = re.compile(
    r"\b(locked|busy|deadlock|time[ds]?[ -]?out|timeout|QueuePool|too many|try again|rolled back)\b", re.I
)
"""Words of a database that has no time for us."""


class Verdict(Enum):
    """On a write that failed."""

    FAILED = "the store is away, or not well: the same write may pass later"
    REFUSED = "the store said no, and not why"
    WRONG = "the write itself is wrong, now and always"


def metric_name(name: str) -> str:
    """The name with characters that MLflow does not accept replaced by ``_``, at most 250 long."""
    return re.sub(r"[^\w./ :-]", "_", posixpath.normpath(name.lstrip("/")).replace("..", "__"))[:250]


def shortened(value: Any) -> str:
    """A parameter's value as text, cut at ``PARAM_LIMIT``."""
    text = clean(without_credentials(value if isinstance(value, str) else json.dumps(value, default=str)))
    return text if len(text) <= PARAM_LIMIT else text[: PARAM_LIMIT - 1] + "…"


def clean(text: str) -> str:
    """Text that every store can hold: lone surrogates and NUL replaced."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def batches(entries: list, size: int) -> list[list]:
    return [entries[start : start + size] for start in range(0, len(entries), size)]


def one_line(error: BaseException, limit: int = 160) -> str:
    """An error's text on one line, without passwords and tokens, cut at ``limit`` characters."""
    text = without_credentials(" ".join(str(error).split()) or type(error).__name__)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def refusal(error: Exception) -> Verdict:
    """What an answer says of the write, were the store as it should be.

    A store that asks who we are, that has no such page, or that gives half an answer is one that can be put right. Of
    ``BAD_REQUEST`` nobody can say: MLflow answers so when a write is malformed, and when its database is at a loss.
    """
    from mlflow.exceptions import MlflowException

    if isinstance(error, MlflowException):
        if not 400 <= error.get_http_status_code() < 500 or error.get_http_status_code() in _NOT_FINAL:
            return Verdict.FAILED
        if error.error_code in _WRONG:
            return Verdict.WRONG
        return Verdict.FAILED if _BUSY.search(str(error)) else Verdict.REFUSED
    if isinstance(error, OSError | json.JSONDecodeError) and not isinstance(error, FileNotFoundError):
        return Verdict.FAILED
    ours = NotImplementedError | TypeError | ValueError | LookupError | AttributeError | OSError
    return Verdict.WRONG if isinstance(error, ours) else Verdict.FAILED


def is_answer(error: Exception) -> bool:
    """Whether a server said no, such as one that asks who we are."""
    from mlflow.exceptions import MlflowException

    return isinstance(error, MlflowException) and 400 <= error.get_http_status_code() < 500


def is_absent(error: Exception) -> bool:
    """Whether the store has no such thing."""
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode

    return isinstance(error, MlflowException) and error.error_code == ErrorCode.Name(RESOURCE_DOES_NOT_EXIST)


def is_gone(error: Exception) -> bool:
    """Whether the store has no such run, or has it among the deleted already."""
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, RESOURCE_DOES_NOT_EXIST, ErrorCode

    codes = [ErrorCode.Name(code) for code in (RESOURCE_DOES_NOT_EXIST, INVALID_PARAMETER_VALUE)]
    return isinstance(error, MlflowException) and error.error_code in codes
