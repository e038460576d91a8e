"""HTTP to one server: an answer is whole, in time and of a bounded size, or the server is ``Gone``.

A server that has once shown what it is (``proven``) is not taken for another because of one strange answer: half a
body, a proxy's page in the place of JSON. Time may heal that. Before, the URL is the user's mistake.
"""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from sdar_cli.errors import UserError, without_credentials
from sdar_cli.reading import size
from sdar_cli.visible import visible

T = TypeVar("T")

CONNECTIONS = 256
"""Most requests to one server at a time."""
MOST_BYTES = 64 << 20
"""Of one answer; the sums of a large model's weights are some MiB."""
_LOOKED_AT = 1 << 16
"""Bytes of an error's body that are read for its sentence."""
LAST_SECONDS = 1.0
"""How much longer than the request itself its thread is waited for."""


class Gone(Exception):
    """The server did not answer, or says that it is broken."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    content: bytes

    def json(self) -> Any:
        """Raises ValueError for what is no JSON, or is nested without end."""
        try:
            return json.loads(self.content)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error

    @property
    def is_json(self) -> bool:
        try:
            self.json()
        except ValueError:
            return False
        return True


class Wire:
    """Requests to one server, from any number of threads."""

    def __init__(self, url: str, *, key: str | None, timeout: float) -> None:
        """Raises UserError for what is no URL, or no key."""
        import httpx

        self.url = url
        self.timeout = timeout
        """Seconds for one whole answer."""
        self.proven = False
        headers = {"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {key}"} if key else {})
        limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
        try:
            self._http = httpx.Client(
                base_url=url, headers=headers, timeout=_limits(timeout), limits=limits, trust_env=False
            )
        except httpx.InvalidURL as error:
            raise self._no_url() from error
        except UnicodeEncodeError as error:  # of the header that holds the key
            raise UserError(
                "VLLM_API_KEY holds letters that no HTTP header takes: set it to the server's key"
            ) from error

    def close(self) -> None:
        self._http.close()

    def ask(
        self, verb: str, path: str, *, missing_is_fine: bool = False, seconds: float | None = None, **about: Any
    ) -> Answer | None:
        """The answer; None for what is not there, where that is fine.

        Args:
            seconds: for the whole answer, in the place of ``timeout``.

        Raises:
            Gone: time may heal it.
            UserError: the server refuses, or there is no such URL.
        """
        seconds = self.timeout if seconds is None else seconds
        answer = _within(seconds + LAST_SECONDS, lambda: self._ask(verb, path, seconds, **about))
        if answer.status >= 500 or answer.status in (408, 425, 429):
            raise Gone(f"{answer.status}: {message(answer.content)}")
        if answer.status >= 400 and self.proven and not answer.is_json:
            raise Gone(f"{answer.status}, from something in between: {message(answer.content)}")
        if answer.status == 404 and missing_is_fine:
            return None
        if answer.status >= 400:
            raise UserError(
                f"the server {self.url} refuses {path} ({answer.status}: {message(answer.content)}): see docs/vllm.md "
                "for how to start it"
            )
        return answer

    def json(self, answer: Answer, path: str) -> dict[str, Any]:
        try:
            value = answer.json()
        except ValueError as error:
            raise self.unusable(path, "something that is no JSON") from error
        if not isinstance(value, dict):
            raise self.unusable(path, "no JSON object")
        return value

    def unusable(self, path: str, what: str) -> Exception:
        """For an answer that no vLLM server gives: whose fault it is depends on what came before."""
        if self.proven:
            return Gone(f"its {path} answers {what}")
        return UserError(f"{self.url}{path} answers {what}, so it is no vLLM server: correct the URL")

    def _ask(self, verb: str, path: str, seconds: float, **about: Any) -> Answer:
        import httpx

        end, content = time.monotonic() + seconds, bytearray()
        try:
            with self._http.stream(verb, path, timeout=_limits(seconds), **about) as answer:
                for part in answer.iter_bytes():
                    content += part
                    if len(content) > MOST_BYTES:
                        raise Gone(f"an answer of more than {size(MOST_BYTES)}")
                    if time.monotonic() > end:
                        raise _late(seconds)
        except httpx.RequestError as error:
            raise Gone(f"{type(error).__name__}: {error}".rstrip(": ")) from error
        except (httpx.InvalidURL, UnicodeError) as error:  # the latter of a host that no name can be
            raise self._no_url() from error
        return Answer(answer.status_code, bytes(content))

    def _no_url(self) -> UserError:
        return UserError(f"{self.url!r} is no URL: give one such as http://127.0.0.1:8000")


def message(content: bytes) -> str:
    """The sentence in an error's body, on one line."""
    text = content[:_LOOKED_AT].decode("utf-8", "replace")
    try:
        value = json.loads(text)
        error = value.get("error", value)
        text = str(error.get("message", text) if isinstance(error, dict) else error)
    except (ValueError, AttributeError, RecursionError):
        pass
    text = visible(" ".join(without_credentials(text).split()))
    return text[:200] + "…" if len(text) > 200 else text


def _limits(seconds: float) -> Any:
    import httpx

    return httpx.Timeout(seconds, connect=min(5.0, seconds))


def _late(seconds: float) -> Gone:
    return Gone(f"no whole answer within {seconds:g} s")


def _within(seconds: float, work: Callable[[], T]) -> T:
    """What the work returns or raises. Its limits are for a pause between two bytes, and headers may come a byte at a
    time; so it has a thread, which is left behind where it does not end."""
    done: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            done.put((work(), None))
        except BaseException as error:
            done.put((None, error))

    threading.Thread(target=run, name="vllm request", daemon=True).start()
    try:
        value, error = done.get(timeout=seconds)
    except queue.Empty:
        raise _late(seconds) from None
    if error is not None:
        raise error
    return value
