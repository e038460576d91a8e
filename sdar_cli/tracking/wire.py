"""What MLflow's stores take: names, lengths, entries a call, and which of their errors are final."""

from __future__ import annotations

import json
import posixpath
import re
from typing import Any

from sdar_cli.errors import without_credentials

PARAM_LIMIT = 500
"""Characters of a parameter that every supported MLflow server accepts; the recipe holds the whole."""
METRICS_PER_CALL = 1000
PARAMS_PER_CALL = 100
_NOT_FINAL = (401, 403, 404, 408, 429)


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


def is_refusal(error: Exception) -> bool:
    """Whether the store answered and said no, so that trying again is in vain.

    A store that asks who we are, or that has no such page, is one that can be put right; so is half an answer.
    """
    from mlflow.exceptions import MlflowException

    if isinstance(error, MlflowException):
        return 400 <= error.get_http_status_code() < 500 and error.get_http_status_code() not in _NOT_FINAL
    if isinstance(error, OSError | json.JSONDecodeError) and not isinstance(error, FileNotFoundError):
        return False
    return isinstance(error, NotImplementedError | TypeError | ValueError | LookupError | AttributeError | OSError)


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
