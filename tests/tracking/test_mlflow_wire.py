"""Which answers of a store end a write, and which only say that it is not the time."""

from __future__ import annotations

import json

import pytest

from sdar_cli.tracking.wire import Verdict, refusal, shortened


def mlflow_error(code: int) -> Exception:
    from mlflow.exceptions import MlflowException

    return MlflowException("said so", error_code=code)


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("INVALID_PARAMETER_VALUE", Verdict.WRONG),
        ("BAD_REQUEST", Verdict.REFUSED),
        ("RESOURCE_ALREADY_EXISTS", Verdict.WRONG),
        ("INTERNAL_ERROR", Verdict.FAILED),
        ("TEMPORARILY_UNAVAILABLE", Verdict.FAILED),
        ("INVALID_STATE", Verdict.FAILED),
        ("RESOURCE_CONFLICT", Verdict.FAILED),
        ("PERMISSION_DENIED", Verdict.FAILED),
        ("UNAUTHENTICATED", Verdict.FAILED),
        ("RESOURCE_DOES_NOT_EXIST", Verdict.FAILED),
        ("ENDPOINT_NOT_FOUND", Verdict.FAILED),
        ("REQUEST_LIMIT_EXCEEDED", Verdict.FAILED),
    ],
)
def test_an_answer_of_mlflow(name: str, verdict: Verdict) -> None:
    from mlflow.protos.databricks_pb2 import ErrorCode

    assert refusal(mlflow_error(ErrorCode.Value(name))) is verdict


@pytest.mark.parametrize(
    "text",
    [
        "(sqlite3.OperationalError) database is locked",
        "QueuePool limit of size 5 overflow 10 reached, connection timed out, timeout 30.00",
        "(psycopg2.errors.DeadlockDetected) deadlock detected",
    ],
)
def test_a_busy_database_behind_a_server_refuses_nothing(text: str) -> None:
    from mlflow.exceptions import RestException

    assert refusal(RestException({"error_code": "BAD_REQUEST", "message": text})) is Verdict.FAILED


def test_what_never_reached_it_or_came_back_in_part_is_no_refusal() -> None:
    import requests

    try:
        json.loads('{"half": ')
    except ValueError as error:
        assert refusal(error) is Verdict.FAILED
    for error in (ConnectionError(), TimeoutError(), requests.exceptions.ChunkedEncodingError(), PermissionError()):
        assert refusal(error) is Verdict.FAILED
    for error in (FileNotFoundError(), ValueError("no such kind"), TypeError()):
        assert refusal(error) is Verdict.WRONG


def test_a_parameter_shows_no_password() -> None:
    assert shortened("http://me:hush@host:8000/x") == "http://***@host:8000/x"
    assert shortened({"urls": ["http://host/?token=hush"]}) == '{"urls": ["http://host/?token=***"]}'
    assert shortened("a\0b\ud800") == "a\ufffdb?"
