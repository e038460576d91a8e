"""Search-R1's protocol: one request in two dialects, one answer.

    {"query": "who wrote it", "topk": 3, "return_scores": true}
    {"queries": ["who wrote it", "when"], "topk": 3, "return_scores": true}
    → {"result": [[{"document": {"id": "7", "contents": "\\"Title\\"\\ntext"}, "score": 1.5}, …], …]}

A list for each query, also for ``query``; without ``return_scores`` its items are the documents themselves. Keys
that are not known are ignored, as in the servers that clients were written for.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

Found = list[list[tuple[dict[str, Any], float]]]
"""For each query its documents, best first, each with its score."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a single request may ask for, and what it gets when it does not say."""

    topk: int = 3
    max_topk: int = 100
    max_queries: int = 1024


@dataclass(frozen=True, slots=True)
class Request:
    queries: list[str]
    topk: int
    return_scores: bool


class BadRequest(Exception):
    """A request that is refused, with an HTTP status and a sentence for whoever wrote the client."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def parse(body: bytes, limits: Limits) -> Request:
    """
    Raises:
        BadRequest: 400 when it is not JSON, 413 when it asks for too much, 422 when it asks for something else.
    """
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise BadRequest(400, "the body is not valid JSON: send an object with 'query' or 'queries'") from None
    if not isinstance(content, dict):
        raise BadRequest(422, f"the body is {_kind(content)}: send an object with 'query' or 'queries'")
    return Request(_queries(content, limits), _topk(content, limits), _return_scores(content))


def answer(found: Found, return_scores: bool) -> dict[str, Any]:
    if return_scores:
        rows: list[Any] = [[{"document": document, "score": score} for document, score in row] for row in found]
    else:
        rows = [[document for document, _ in row] for row in found]
    return {"result": rows}


def _queries(content: dict[str, Any], limits: Limits) -> list[str]:
    one, many = content.get("query"), content.get("queries")
    if one is not None and many is not None:
        raise BadRequest(422, "the body has both 'query' and 'queries': send one of them")
    if one is not None:
        if not isinstance(one, str):
            raise BadRequest(422, f"'query' is {_kind(one)}: send a string, or a list of strings as 'queries'")
        return [_text(one, "'query'")]
    if many is None:
        raise BadRequest(422, "the body has neither 'query' nor 'queries': send a string, or a list of strings")
    if not isinstance(many, list):
        raise BadRequest(422, f"'queries' is {_kind(many)}: send a list of strings, or a string as 'query'")
    if len(many) > limits.max_queries:
        raise BadRequest(413, f"'queries' holds {len(many)}: send at most {limits.max_queries} at a time")
    for number, query in enumerate(many):
        if not isinstance(query, str):
            raise BadRequest(422, f"'queries' holds {_kind(query)} at place {number}: send strings")
    return [_text(query, f"'queries' at place {number}") for number, query in enumerate(many)]


def _text(query: str, where: str) -> str:
    try:
        query.encode()
    except UnicodeEncodeError:
        raise BadRequest(422, f"{where} holds half of a character (a lone surrogate): send whole ones") from None
    return query


def _topk(content: dict[str, Any], limits: Limits) -> int:
    topk = content.get("topk")
    if topk is None:
        return limits.topk
    if not isinstance(topk, int) or isinstance(topk, bool):
        raise BadRequest(422, f"'topk' is {_kind(topk)}: send a whole number from 1 to {limits.max_topk}")
    if not 1 <= topk <= limits.max_topk:
        raise BadRequest(422, f"'topk' is out of range: send a whole number from 1 to {limits.max_topk}")
    return topk


def _return_scores(content: dict[str, Any]) -> bool:
    wanted = content.get("return_scores")
    if wanted is not None and not isinstance(wanted, bool):
        raise BadRequest(422, f"'return_scores' is {_kind(wanted)}: send true or false")
    return bool(wanted)


def _kind(value: Any) -> str:
    kinds = {bool: "true or false", int: "a number", float: "a number", str: "a string", list: "a list"}
    return kinds.get(type(value), "null" if value is None else "an object")
