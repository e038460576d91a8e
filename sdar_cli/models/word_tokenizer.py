"""A word-level tokenizer in the Hugging Face format, for models too small to learn to spell."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD, START, END, UNKNOWN = "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<unk>"
SPECIAL = (PAD, START, END, UNKNOWN)

WORD = r"</?[a-z]+>|\p{L}+(?:/\p{L}+)*|\p{N}+|[^\s\p{L}\p{N}]"
"""A tag, a word (``in/on`` is one), a number, or a single other character; white space parts them."""

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""ChatML; line ends cost no token here."""

ALWAYS = ("system", "user", "assistant", "<think>", "</think>", "<action>", "</action>")
"""In every vocabulary: the template's words and the tags of a response."""

LARGEST_NUMBER = 99

_SPECIAL_TEXT = re.compile("|".join(map(re.escape, SPECIAL)))


def words(texts: Iterable[str]) -> set[str]:
    """Every distinct word of the texts, as the tokenizer cuts them; special tokens are not words."""
    splitter = _splitter()
    found: set[str] = set()
    for text in texts:
        found.update(word for word, _ in splitter.pre_tokenize_str(_SPECIAL_TEXT.sub(" ", text)))
    return found


def build_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """A tokenizer over the words of ``texts``, case kept; a word that it does not know is ``<unk>``.

    The vocabulary is the special tokens, ``ALWAYS``, then the rest in alphabetical order, so it depends on
    the set of words alone. Whole numbers are words; those from 0 to the largest that occurs (99 at most)
    are all known.
    """
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    known = words(texts)
    numbers = [int(word) for word in known if word.isascii() and word.isdigit() and len(word) <= 2]
    known.update(str(number) for number in range(min(max(numbers, default=-1), LARGEST_NUMBER) + 1))
    vocabulary = [*SPECIAL, *ALWAYS, *sorted(known.difference(ALWAYS))]
    tokenizer = Tokenizer(WordLevel({word: index for index, word in enumerate(vocabulary)}, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = _splitter()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        unk_token=UNKNOWN,
        additional_special_tokens=[START],
        chat_template=CHAT_TEMPLATE,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def _splitter():
    from tokenizers import Regex
    from tokenizers.pre_tokenizers import Split

    return Split(Regex(WORD), behavior="removed", invert=True)
