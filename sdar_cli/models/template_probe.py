"""Whether a chat template ends: it is a program, and one that somebody else wrote.

It is first rendered in a process of its own (this file, which needs Jinja alone) that has so much time, memory and
output, with the tokens and settings that it will be given; only one that came to an end there is rendered here.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

SECONDS = 10
"""Of the processor's time; on the clock, three times as many."""
MEMORY = 1 << 30
"""Bytes that the process may have."""
OUTPUT = 1 << 20
"""Characters that a conversation may become."""
LENGTHS = (1, 2, 3, 4, 5, 6, 7, 8, 16, 32, 64, 128)
"""Messages of the conversations that are tried: a prompt has two a turn at most."""
LONG = 2000
"""Letters of the longest message."""
ENDED, ENDLESS, UNABLE = 0, 3, 4


def ends(template: str, variables: Mapping[str, Any]) -> bool:
    """Whether the template ends, by text or by an error, within the bounds.

    Args:
        variables: what it is given beside the messages; plain data.

    Raises:
        ImportError: Jinja is not found there.
    """
    return _ends(template, json.dumps(dict(variables), sort_keys=True))


@lru_cache(maxsize=64)
def _ends(template: str, variables: str) -> bool:
    words = [sys.executable, "-I", __file__, str(SECONDS)]
    given = {
        "template": template,
        "variables": variables,
        "path": [place for place in sys.path if os.path.isabs(place)],
    }
    try:
        done = subprocess.run(
            words, input=json.dumps(given).encode(), capture_output=True, timeout=3 * SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    if done.returncode == UNABLE:
        raise ImportError("jinja2 cannot be imported in a process of its own")
    return done.returncode == ENDED


def probes() -> Iterator[list[dict[str, str]]]:
    """The conversations that are rendered, of words that no template can know: users and assistants in turn, the third
    message long; then each after a system message, which a template may refuse."""
    words = [f"word{secrets.token_hex(4)}" for _ in range(LENGTHS[-1])]
    words[2] += "\nand more" * (LONG // 9)
    said = [{"role": "assistant" if n % 2 else "user", "content": word} for n, word in enumerate(words)]
    for before in ([], [{"role": "system", "content": "Be brief."}]):
        for length in LENGTHS:
            yield before + said[:length]


def renderer(template: str, variables: Mapping[str, Any]) -> Callable[[list[dict[str, str]]], str]:
    """Renders a conversation as Transformers does; for the bounds alone, so that what it knows beyond this may fail
    here."""
    from jinja2 import TemplateError, nodes
    from jinja2.ext import Extension, loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        tags = {"generation"}

        def parse(self, parser: Any) -> Any:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return nodes.Scope(body).set_lineno(line)

    def written(
        value: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: bool = False
    ) -> str:
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    def refuse(message: str) -> None:
        raise TemplateError(message)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )
    environment.filters["tojson"] = written
    environment.globals |= {"raise_exception": refuse, "strftime_now": lambda form: datetime.now().strftime(form)}
    compiled = environment.from_string(template)

    def render(messages: list[dict[str, str]]) -> str:
        pieces, length = [], 0
        for piece in compiled.generate(messages=messages, add_generation_prompt=True, **variables):
            pieces.append(piece)
            length += len(piece)
            if length > OUTPUT:
                raise MemoryError
        return "".join(pieces)

    return render


def _main() -> int:
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (int(sys.argv[1]),) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    given = json.load(sys.stdin)
    sys.path += [place for place in given["path"] if place not in sys.path]
    try:
        import jinja2.sandbox  # noqa: F401
    except ImportError:
        return UNABLE
    variables = {"tools": None, "documents": None, **json.loads(given["variables"])}
    try:
        render = renderer(given["template"], variables)
    except MemoryError:
        return ENDLESS
    except Exception:  # which Transformers will find too, and say
        return ENDED
    for conversation in probes():
        try:
            render(conversation)
        except MemoryError:
            return ENDLESS
        except Exception:  # likewise
            continue
    return ENDED


if __name__ == "__main__":
    sys.exit(_main())
