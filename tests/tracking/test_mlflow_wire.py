"""Which answers of a store end a write, and which only say that it is not the time."""

from __future__ import annotations

import json

import pytest

from sdar_cli.tracking.wire import is_refusal, shortened


def mlflow_error(code: int) -> Exception:
    from mlflow.exceptions import MlflowException

    return MlflowException("said so", error_code=code)


@pytest.mark.parametrize(
    ("name", "final"),
    [
        ("INVALID_PARAMETER_VALUE", True),
        ("BAD_REQUEST", True),
        ("RESOURCE_ALREADY_EXISTS", True),
        ("INTERNAL_ERROR", False),
        ("TEMPORARILY_UNAVAILABLE", False),
        ("PERMISSION_DENIED", False),
        ("UNAUTHENTICATED", False),
        ("RESOURCE_DOES_NOT_EXIST", False),
        ("ENDPOINT_NOT_FOUND", False),
        ("REQUEST_LIMIT_EXCEEDED", False),
    ],
)
def test_an_answer_of_mlflow(name: str, final: bool) -> None:
    from mlflow.protos.databricks_pb2 import ErrorCode

    assert is_refusal(mlflow_error(ErrorCode.Value(name))) is final


def test_what_never_reached_it_or_came_back_in_part_is_no_refusal() -> None:
    import requests

    try:
        json.loads('{"half": ')
    except ValueError as error:
        assert not is_refusal(error)
    for error in (ConnectionError(), TimeoutError(), requests.exceptions.ChunkedEncodingError(), PermissionError()):
        assert not is_refusal(error)
    for error in (FileNotFoundError(), ValueError("no such kind"), TypeError()):
        assert is_refusal(error)


def test_a_parameter_shows_no_password() -> None:
    assert shortened("http://me:hush@host:8000/x") == "http://***@host:8000/x"
    assert shortened({"urls": ["http://host/?token=hush"]}) == '{"urls": ["http://host/?token=***"]}'
    assert shortened("a\0b\ud800") == "a\ufffdb?"
