"""Whether a chat template ends: it is a program, and one that somebody else wrote.

It is rendered once in a process of its own (this file, which needs Jinja alone) that has so much time, memory and
output; only one that came to an end there is rendered here.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

SECONDS = 10
"""Of the processor's time; on the clock, three times as many."""
MEMORY = 1 << 30
"""Bytes that the process may have."""
OUTPUT = 1 << 20
"""Characters that a conversation of three words may become."""
ENDED, ENDLESS, UNABLE = 0, 3, 4


@lru_cache(maxsize=64)
def ends(template: str) -> bool:
    """Whether the template ends, by text or by an error, within the bounds.

    Raises:
        ImportError: Jinja is not found there.
    """
    words = [sys.executable, "-I", __file__, str(SECONDS)]
    given = {"template": template, "path": [place for place in sys.path if os.path.isabs(place)]}
    try:
        done = subprocess.run(
            words, input=json.dumps(given).encode(), capture_output=True, timeout=3 * SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    if done.returncode == UNABLE:
        raise ImportError("jinja2 cannot be imported in a process of its own")
    return done.returncode == ENDED


def probes() -> list[list[dict[str, str]]]:
    """The conversations that are rendered: a first turn, and a second one."""
    first, answer, second = (f"word{secrets.token_hex(4)}" for _ in range(3))  # which no template can know
    asked = {"role": "user", "content": first}
    return [[asked], [asked, {"role": "assistant", "content": answer}, {"role": "user", "content": second}]]


def told() -> list[dict[str, str]]:
    """A conversation with a system message, which a template may refuse."""
    return [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "A word."}]


def render_all(template: str, variables: Mapping[str, Any], conversations: Sequence[Any]) -> list[str]:
    """As Transformers renders; for the bounds alone, so that what it knows beyond this may fail here."""
    from jinja2 import TemplateError, nodes
    from jinja2.ext import Extension, loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        tags = {"generation"}

        def parse(self, parser: Any) -> Any:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return nodes.Scope(body).set_lineno(line)

    def refuse(message: str) -> None:
        raise TemplateError(message)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )
    environment.filters["tojson"] = lambda value, **options: json.dumps(value)
    environment.globals |= {"raise_exception": refuse, "strftime_now": lambda form: form}
    compiled = environment.from_string(template)
    found = []
    for messages in conversations:
        pieces, length = [], 0
        for piece in compiled.generate(messages=messages, add_generation_prompt=True, **variables):
            pieces.append(piece)
            length += len(piece)
            if length > OUTPUT:
                raise MemoryError
        found.append("".join(pieces))
    return found


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
    known = {"tools": None, "documents": None, "bos_token": "<s>", "eos_token": "</s>"}
    for conversation in (*probes(), told()):
        try:
            render_all(given["template"], known, [conversation])
        except MemoryError:
            return ENDLESS
        except Exception:  # which Transformers will find too, and say
            continue
    return ENDED


if __name__ == "__main__":
    sys.exit(_main())
