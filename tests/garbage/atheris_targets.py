"""Parsers of our own, for a fuzzer: ``python tests/garbage/atheris_targets.py NAME [-max_total_time=120 …]``.

Atheris (an extra that nothing here depends on) chooses inputs by what they reach. ``test_atheris_targets.py`` gives
the same targets inputs of hypothesis. A target returns for any input or has found a fault.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import SimpleNamespace


def text_of(data: bytes) -> str:
    """Any text that a decoder can give: no halves of surrogate pairs."""
    return data.decode("utf-8", "replace")


def tags(data: bytes) -> None:
    from sdar_envs.base import Action, Invalid
    from sdar_envs.tags import REASONS, parse_tags

    text = text_of(data)
    for think in ("required", "optional"):
        found = parse_tags(text, think)
        if isinstance(found, Invalid):
            assert found.reason in REASONS
        else:
            assert isinstance(found, Action) and found.text == " ".join(found.text.split()) != ""
            assert parse_tags(f"<think></think><action>{found.text}</action>") in (found, Invalid("tag inside a tag"))


def search_qa(data: bytes) -> None:
    from sdar_envs.base import Invalid
    from sdar_envs.search_qa.environment import SKIPPED
    from sdar_envs.search_qa.parsing import REASONS, parse_response, read_action, tagged, write_action

    text = text_of(data)
    found = parse_response(text)
    if isinstance(found, Invalid):
        assert found.reason in REASONS and SKIPPED[found.reason]
    else:
        move = read_action(found.text)
        assert move is not None and write_action(*move) == found.text
    tagged(text)
    read_action(text)


def webshop(data: bytes) -> None:
    from sdar_envs.webshop.actions import Search, is_hidden, read_action, written

    text = text_of(data)
    for loose in (False, True):
        found = read_action(text, loose=loose)
        if found is not None:
            assert read_action(written(found)) == found
            assert not isinstance(found, Search) or "[" not in found.words
    is_hidden(text)


def override(data: bytes) -> None:
    from sdar_cli.errors import UserError
    from sdar_cli.recipe.overrides import parse_override

    try:
        key, _ = parse_override(text_of(data))
    except UserError as error:
        assert ": " in str(error)
    else:
        assert key


BREAKING = ("<|im_start|>", "<|im_end|>", "<|endoftext|>", "<s>", "</s>", "[INST]", "aa", "aba")


def special_tokens(data: bytes) -> None:
    from sdar_cli.rollout.special_tokens import breaker

    tokenizer = SimpleNamespace(all_special_tokens=list(BREAKING), added_tokens_decoder={})
    text = text_of(data)
    broken = breaker(tokenizer)(text)
    assert not any(token in broken for token in BREAKING)
    assert broken == text or any(token in text for token in BREAKING)
    assert breaker(tokenizer)(broken) == broken


SECRET = "zQ9xK7"


def credentials(data: bytes) -> None:
    from sdar_cli.errors import without_credentials

    around = text_of(data)
    for text in (around, f"http://user:{SECRET}@host", f"{around} http://u:{SECRET}@h/ {around}"):
        for alone in (False, True):
            shown = without_credentials(text, alone=alone)
            assert SECRET in around or SECRET not in shown
            assert len(shown) <= len(text) + 3 * (1 + text.count("@") + text.count("="))


def front_matter(data: bytes) -> None:
    from sdar_cli.errors import SkillError
    from sdar_cli.skills.skill import parse_skill

    for text in (text_of(data), f"---\n{text_of(data)}\n---\nBody.\n"):
        try:
            found = parse_skill(text, where="file.md", stem="file")
        except SkillError as error:
            assert ": " in str(error)
        else:
            assert found.name and found.body


def weights(data: bytes) -> None:
    """The header of a file of safetensors."""
    import os
    import tempfile
    from pathlib import Path

    from sdar_cli.models.safetensors_header import shapes
    from sdar_cli.reading import Unreadable

    handle, name = tempfile.mkstemp()
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(len(data).to_bytes(8, "little") + data)
        assert all(isinstance(shape, tuple) for shape in shapes(Path(name)).values())
    except Unreadable:
        pass
    finally:
        os.unlink(name)


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target
    for target in (tags, search_qa, webshop, override, special_tokens, credentials, front_matter, weights)
}
WORDS = (
    *(
        "<think>",
        "</think>",
        "<action>",
        "</action>",
        "<search>",
        "</search>",
        "<answer>",
        "</answer>",
        "ı",
        "İ",
        "ſ",
        "K",
    ),
    *("search[", "click[", "answer[", "]", "<r>", "environment.options.", "=", "[", "{", "&a ", "*a", "!!python/name:"),
    *(
        "http://",
        "://",
        "@",
        "?token=",
        "&key=",
        ";secret=",
        "---\n",
        "name: ",
        "task_types: [",
        "keywords:",
        *BREAKING,
    ),
    *('{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}', '"__metadata__"', "\x00", "\u2028", "\ufffd"),
)
"""What these parsers look for."""


def main(words: list[str]) -> None:
    import tempfile
    from pathlib import Path

    import atheris

    name, *options = words
    with atheris.instrument_imports(include=["sdar_cli", "sdar_envs"]):
        TARGETS[name](b"")
    dictionary = Path(tempfile.mkdtemp()) / "words.dict"
    dictionary.write_text("".join('"' + "".join(f"\\x{byte:02x}" for byte in word.encode()) + '"\n' for word in WORDS))
    atheris.Setup([sys.argv[0], f"-dict={dictionary}", "-max_len=4096", *options], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
