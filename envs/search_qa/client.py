"""A client of a Search-R1 retrieval server that outlives the server's bad days.

    client = RetrievalClient(ServerSettings(urls=("http://127.0.0.1:8000/retrieve",)))
    client.search("old bell", 3)    # contents of the three best documents

A request goes to the servers in turn. One that fails (status 5xx, connection error, time-out, an answer that is not of
the right form) is rested for a while; a try that found no other server to go to waits before the next, longer every
time. A status 4xx is final, but for those that ask for patience. Answers are kept, so that the episodes of a group do
not ask twice. What is found is text that a tokenizer takes, of a bounded length.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from sdar_cli.errors import EnvironmentSetupError
from sdar_cli.servers.token import RETRIEVER, token
from sdar_cli.visible import visible
from sdar_envs.search_qa.servers import Servers, shown

if TYPE_CHECKING:
    import httpx

Dialect = Literal["query", "queries"]

FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0
"""Seconds between tries: doubled each time, then drawn between half of it and all of it."""
CACHE_ENTRIES = 16_384
MOST_BYTES = 16 << 20
"""Of one answer."""
MOST_CHARACTERS, MOST_OF_ONE = 160_000, 32_768
"""Of the documents that a search finds together, and of a single one; the rest is cut off."""
TRY_AGAIN = (408, 425, 429)
"""Refusals that time may heal."""
MOST_COMPLAINT = 160
"""Bytes of a refusal that are shown."""
PROBE_SECONDS = 10.0
PROBE = "retrieval"
"""What ``check`` asks for."""

_DRAW = random.Random().random


class RetrievalError(Exception):
    """No server gave a usable answer: the episode is lost, the run goes on."""


class _Failure(Exception):
    """One try failed, and another may succeed."""


class _Refusal(Exception):
    """The server understood that the request is wrong; another try would fare no better."""


class _NoUrl(_Refusal):
    """Nothing can be asked there."""


@dataclass(frozen=True, slots=True)
class ServerSettings:
    urls: tuple[str, ...]
    dialect: Dialect = "query"
    """Whether a request holds one ``query`` or a list of ``queries`` (of one)."""
    timeout: float = 60.0
    """Seconds that a try waits for the server at any point, and that the answer's body may go on arriving."""
    tries: int = 10
    connections: int = 16
    """Most requests under way at once."""


class RetrievalClient:
    """See the module docstring. Any number of threads may share one.

    ``transport``, ``clock``, ``sleep`` and ``jitter`` (a draw from [0, 1)) are for tests.
    """

    def __init__(
        self,
        settings: ServerSettings,
        *,
        transport: httpx.BaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = _DRAW,
    ) -> None:
        import httpx

        self.settings = settings
        limits = httpx.Limits(max_connections=settings.connections, max_keepalive_connections=settings.connections)
        # A proxy from the environment would stand between this machine and itself.
        secret = token(RETRIEVER)
        self._http = httpx.Client(
            timeout=settings.timeout,
            limits=limits,
            transport=transport,
            trust_env=False,
            headers={"Authorization": f"Bearer {secret}"} if secret else None,
        )
        self._servers = Servers(settings.urls, clock)
        self._clock, self._sleep, self._jitter = clock, sleep, jitter
        self._free = threading.BoundedSemaphore(settings.connections)
        self._lock = threading.Lock()
        self._cache: OrderedDict[tuple[str, int], tuple[str, ...]] = OrderedDict()

    def search(self, query: str, k: int) -> list[str]:
        """Contents of the ``k`` best documents, best first. Raises RetrievalError when all tries have failed."""
        key = (query, k)
        with self._lock:
            if key in self._cache:
                self._cache.move_to_end(key)
                return list(self._cache[key])
        found = self._ask(query, k)
        with self._lock:
            self._cache[key] = tuple(found)
            if len(self._cache) > CACHE_ENTRIES:
                self._cache.popitem(last=False)
        return found

    def check(self) -> None:
        """Ask every server once, and briefly; one that is only slow or broken may recover.

        Raises EnvironmentSetupError when there is none at all, or one refuses how it is asked.
        """
        import httpx

        absent = []
        for url in self.settings.urls:
            try:
                self._try(url, PROBE, 1, min(PROBE_SECONDS, self.settings.timeout))
            except _NoUrl as error:
                raise EnvironmentSetupError(
                    f"no retrieval server can be at {shown(url)} ({error}): correct environment.options.urls"
                ) from error
            except _Refusal as error:
                other = "query" if self.settings.dialect == "queries" else "queries"
                raise EnvironmentSetupError(
                    f"the retrieval server at {shown(url)} refuses a request ({error}): correct "
                    f"environment.options.urls, or set environment.options.dialect={other}"
                ) from error
            except _Failure as error:
                if isinstance(error.__cause__, httpx.ConnectError | httpx.ConnectTimeout):
                    absent.append(shown(url))
        if len(absent) == len(self.settings.urls):
            raise EnvironmentSetupError(
                f"no retrieval server answers at {', '.join(absent)}: start one with `sdar retriever serve`, name "
                "others in environment.options.urls, or set environment.options.retriever=bm25"
            )

    def close(self) -> None:
        self._http.close()

    def _ask(self, query: str, k: int) -> list[str]:
        tries, wait = self.settings.tries, FIRST_WAIT
        for number in range(1, tries + 1):
            url = self._servers.next()
            try:
                with self._free:
                    found = self._try(url, query, k, self.settings.timeout)
            except _Refusal as error:
                raise RetrievalError(f"{shown(url)} refused the request: {error}") from error
            except _Failure as error:
                self._servers.failed(url)
                if number == tries:
                    raise RetrievalError(
                        f"no usable answer in {tries} tries, the last from {shown(url)}: {error}"
                    ) from error
                if self._servers.all_rest:
                    self._sleep(wait * (0.5 + self._jitter() / 2))
                    wait = min(2 * wait, LONGEST_WAIT)
            else:
                self._servers.worked(url)
                return found
        raise AssertionError("tries is at least 1")

    def _try(self, url: str, query: str, k: int, seconds: float) -> list[str]:
        """One request; ``seconds`` is ``ServerSettings.timeout``, or less."""
        import httpx

        request: dict[str, Any] = {"topk": k, "return_scores": True}
        request[self.settings.dialect] = query if self.settings.dialect == "query" else [query]
        deadline = self._clock() + seconds
        body = bytearray()
        try:
            with self._http.stream("POST", url, json=request, timeout=seconds) as response:
                parts = response.iter_bytes()
                _check_status(response.status_code, parts)
                for part in parts:
                    body += part
                    if self._clock() > deadline:
                        raise _Failure(f"no whole answer within {seconds:g} s")
                    if len(body) > MOST_BYTES:
                        raise _Failure(f"an answer of more than {MOST_BYTES >> 20} MiB")
        except httpx.TimeoutException as error:
            raise _Failure(f"no answer within {seconds:g} s") from error
        except httpx.HTTPError as error:
            raise _Failure(_reason(error)) from error
        except (httpx.InvalidURL, UnicodeError) as error:  # the latter of a host that no name can be
            raise _NoUrl(_reason(error)) from error
        return _contents(bytes(body), k)


def _check_status(status: int, parts: Iterator[bytes]) -> None:
    if status >= 500 or status in TRY_AGAIN:
        raise _Failure(f"status {status}")
    if not 200 <= status < 300:
        said = visible(" ".join(next(parts, b"")[:MOST_COMPLAINT].decode("utf-8", "replace").split()))
        raise _Refusal(f"status {status}: {said}" if said else f"status {status}")


def _contents(body: bytes, k: int) -> list[str]:
    """The documents of an answer: ``{"result": [[{"document": {"contents": …}, "score": …}]]}``."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise _Failure("an answer that is not JSON") from error
    lists = answer.get("result") if isinstance(answer, dict) else None
    if not isinstance(lists, list) or len(lists) != 1 or not isinstance(lists[0], list):
        raise _Failure("an answer without one list of documents under 'result'")
    found = []
    for item in lists[0][:k]:
        document = item.get("document") if isinstance(item, dict) else None
        contents = document.get("contents") if isinstance(document, dict) else None
        if not isinstance(contents, str):
            raise _Failure("an answer with a document without 'contents'")
        found.append(_readable(contents[: min(MOST_OF_ONE, MOST_CHARACTERS // k)]))
    return found


def _readable(contents: str) -> str:
    """Halves of surrogate pairs, which JSON may hold and no tokenizer takes, replaced."""
    return contents.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
