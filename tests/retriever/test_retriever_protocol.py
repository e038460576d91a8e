"""Requests in both dialects, and everything that is none."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sdar_cli.retriever.protocol import BadRequest, Limits, Request, answer, parse

LIMITS = Limits(topk=3, max_topk=10, max_queries=4)


@pytest.mark.parametrize(
    ("body", "request_"),
    [
        ({"query": "a"}, Request(["a"], 3, False)),
        ({"query": "a", "topk": 10, "return_scores": True}, Request(["a"], 10, True)),
        ({"queries": ["a", "b"], "topk": 1}, Request(["a", "b"], 1, False)),
        ({"queries": []}, Request([], 3, False)),
        ({"query": ""}, Request([""], 3, False)),
        ({"query": "東京 \U0001f600\u2028\0"}, Request(["東京 \U0001f600\u2028\0"], 3, False)),
        ({"query": "a", "queries": None, "topk": None, "return_scores": None}, Request(["a"], 3, False)),
        ({"queries": ["a"], "query": None}, Request(["a"], 3, False)),
        ({"query": "a", "exclude_title": ["x"], "eid": 3}, Request(["a"], 3, False)),
        ({"queries": ["a"] * 4}, Request(["a"] * 4, 3, False)),
    ],
)
def test_requests(body: object, request_: Request) -> None:
    assert parse(json.dumps(body).encode(), LIMITS) == request_
    assert parse(json.dumps(body, ensure_ascii=False).encode(), LIMITS) == request_


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"", 400, "the body is not valid JSON"),
        (b"query=a", 400, "the body is not valid JSON"),
        (b'{"query": "a"', 400, "the body is not valid JSON"),
        (b'{"query": "\xff"}', 400, "the body is not valid JSON"),
        (b"[" * 100_000, 400, "the body is not valid JSON"),
        (b'{"query": "a", "topk": ' + b"9" * 5000 + b"}", 400, "the body is not valid JSON"),
        (b"null", 422, "the body is null"),
        (b'"a"', 422, "the body is a string"),
        (b'["a"]', 422, "the body is a list"),
        (b"{}", 422, "the body has neither 'query' nor 'queries'"),
        (b'{"query": null}', 422, "the body has neither"),
        (b'{"Query": "a"}', 422, "the body has neither"),
        (b'{"query": "a", "queries": ["a"]}', 422, "the body has both"),
        (b'{"query": ["a"]}', 422, "'query' is a list: send a string, or a list of strings as 'queries'"),
        (b'{"query": 3}', 422, "'query' is a number"),
        (b'{"queries": "a"}', 422, "'queries' is a string: send a list of strings, or a string as 'query'"),
        (b'{"queries": {"a": 1}}', 422, "'queries' is an object"),
        (b'{"queries": ["a", null]}', 422, "'queries' holds null at place 1"),
        (b'{"queries": ["a", ["b"]]}', 422, "'queries' holds a list at place 1"),
        (b'{"queries": ["a", "b", "c", "d", "e"]}', 413, "'queries' holds 5: send at most 4"),
        (b'{"query": "\\ud83d"}', 422, "'query' holds half of a character"),
        (b'{"queries": ["a", "\\udc00\\ud800"]}', 422, "'queries' at place 1 holds half of a character"),
        (b'{"query": "a", "topk": 0}', 422, "'topk' is out of range: send a whole number from 1 to 10"),
        (b'{"query": "a", "topk": 11}', 422, "'topk' is out of range"),
        (b'{"query": "a", "topk": -1}', 422, "'topk' is out of range"),
        (b'{"query": "a", "topk": true}', 422, "'topk' is true or false"),
        (b'{"query": "a", "topk": "3"}', 422, "'topk' is a string"),
        (b'{"query": "a", "topk": 3.0}', 422, "'topk' is a number: send a whole number"),
        (b'{"query": "a", "topk": NaN}', 422, "'topk' is a number"),
        (b'{"query": "a", "return_scores": 1}', 422, "'return_scores' is a number: send true or false"),
        (b'{"query": "a", "return_scores": "yes"}', 422, "'return_scores' is a string"),
    ],
    ids=lambda value: repr(value)[:50],
)
def test_what_is_refused(body: bytes, status: int, says: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse(body, LIMITS)
    assert caught.value.status == status
    assert str(caught.value).startswith(says)
    assert "\n" not in str(caught.value) and ": send" in str(caught.value)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner, max_size=3)
)
_BODIES = st.dictionaries(st.sampled_from(["query", "queries", "topk", "return_scores", "x"]), _VALUES)


@given(st.binary() | (_BODIES | _VALUES).map(lambda value: json.dumps(value).encode()))
@example(b"\xef\xbb\xbf{}")
def test_any_body_is_a_request_or_refused(body: bytes) -> None:
    try:
        request = parse(body, LIMITS)
    except BadRequest as error:
        assert error.status in (400, 413, 422)
        return
    assert 1 <= request.topk <= 10 and len(request.queries) <= 4
    "".join(request.queries).encode()


def test_answers() -> None:
    found = [[({"id": "1"}, 2.5), ({"id": "0"}, 1.0)], []]
    assert answer(found, True) == {
        "result": [[{"document": {"id": "1"}, "score": 2.5}, {"document": {"id": "0"}, "score": 1.0}], []]
    }
    assert answer(found, False) == {"result": [[{"id": "1"}, {"id": "0"}], []]}
