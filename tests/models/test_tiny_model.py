"""Tiny models and their word tokenizer."""

import re
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from sdar_cli.environments import build_environment
from sdar_cli.errors import ModelError
from sdar_cli.models.load import load_model, load_tokenizer
from sdar_cli.models.tiny import build_model, build_tokenizer, create
from sdar_cli.recipe.schema import Recipe, TinyModel
from sdar_cli.skills import bank_for

SHAPE = TinyModel(layers=2, width=16, heads=2, mlp=32)
TEXTS = [
    "Put the mug 1 in/on desk 12, then 'look'.",
    "<action>go to x</action>",
    "Task: a > b. Nothing happens.",
]


def recipe(**options) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "t",
            "model": {"tiny": SHAPE.model_dump()},
            "environment": {"name": "household", "options": options},
            "warmup": {},
        }
    )


def test_words_tags_numbers_and_punctuation_are_tokens() -> None:
    tokenizer = build_tokenizer(TEXTS)
    assert tokenizer.tokenize("<action>Put mug 12 in/on desk 1.</action> <think></think>") == [
        *("<action>", "Put", "mug", "12", "in/on", "desk", "1", ".", "</action>", "<think>", "</think>")
    ]
    assert tokenizer.tokenize("put zebra 13") == ["<unk>", "<unk>", "<unk>"]
    assert tokenizer.tokenize("7 11 0") == ["7", "11", "0"]  # all up to the largest seen
    assert (tokenizer.eos_token, tokenizer.pad_token, tokenizer.unk_token) == (
        "<|im_end|>",
        "<|endoftext|>",
        "<unk>",
    )


def test_the_vocabulary_depends_on_the_words_alone() -> None:
    one, other = build_tokenizer(TEXTS), build_tokenizer(reversed([*TEXTS, *TEXTS]))
    assert one.get_vocab() == other.get_vocab()


def test_the_template_is_chatml_and_keeps_prefixes() -> None:
    tokenizer = build_tokenizer(TEXTS)
    messages = [{"role": "user", "content": "Task: look"}]
    prompt = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert tokenizer.tokenize(prompt) == [
        *("<|im_start|>", "user", "Task", ":", "look", "<|im_end|>", "<|im_start|>", "assistant")
    ]
    answered = [
        *messages,
        {"role": "assistant", "content": "<action>go</action>"},
        {"role": "user", "content": "look"},
    ]
    whole = tokenizer.apply_chat_template(answered, tokenize=False)
    assert whole.startswith(prompt + "<action>go</action><|im_end|>")
    assert not whole.rstrip().endswith("assistant")


def test_a_response_decodes_to_what_the_environment_parses() -> None:
    environment = build_environment(recipe().environment)
    tokenizer = build_tokenizer(environment.vocabulary())
    for action in ("take mug from desk", "wash mug with sink", "put mug on desk", "go to lamp"):
        ids = tokenizer(environment.format_response(action) + tokenizer.eos_token)["input_ids"]
        assert tokenizer.unk_token_id not in ids
        assert environment.parse(tokenizer.decode(ids, skip_special_tokens=True)).text == action


@given(st.text(max_size=200))
@settings(max_examples=60, deadline=None)
def test_any_text_is_tokenised(text: str) -> None:
    tokenizer = build_tokenizer([text])
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert all(0 <= index < len(tokenizer) for index in ids)
    if not re.search(r"<\||<unk>", text):
        assert tokenizer.unk_token_id not in ids


def test_the_tokenizer_survives_saving(tmp_path: Path) -> None:
    tokenizer = build_tokenizer(TEXTS)
    tokenizer.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    text = "Put the mug 1 in/on desk 12 <|im_end|>"
    assert again(text)["input_ids"] == tokenizer(text)["input_ids"]
    assert (again.chat_template, again.eos_token, again.pad_token) == (
        tokenizer.chat_template,
        tokenizer.eos_token,
        tokenizer.pad_token,
    )


def test_weights_are_a_function_of_the_seed_and_leave_the_global_state() -> None:
    tokenizer = build_tokenizer(TEXTS)
    before = torch.get_rng_state()
    one, same, other = (build_model(SHAPE, tokenizer, seed) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), same.parameters(), strict=True))
    assert not torch.equal(one.model.embed_tokens.weight, other.model.embed_tokens.weight)
    assert one.lm_head.weight is one.model.embed_tokens.weight
    assert {weights.dtype for weights in one.parameters()} == {torch.float32}
    assert one.config.eos_token_id == tokenizer.eos_token_id == one.generation_config.eos_token_id


def test_first_layer_heads_begin_by_looking_back() -> None:
    tokenizer = build_tokenizer([" ".join(f"w{chr(97 + i)}" for i in range(26))])
    model = build_model(TinyModel(layers=2, width=64, heads=4, mlp=32), tokenizer, seed=3)
    model.set_attn_implementation("eager")
    ids = torch.arange(11, 37).unsqueeze(0)
    with torch.no_grad():
        heads = model(input_ids=ids, output_attentions=True).attentions[0][0]
    for head in range(4):
        rows = torch.arange(8, ids.shape[1])
        assert heads[head, rows, rows - head - 1].min() > 0.5


@pytest.mark.parametrize(("width", "heads"), [(10, 3), (6, 2)])
def test_a_shape_that_cannot_be_is_refused(width: int, heads: int) -> None:
    with pytest.raises(ModelError, match=f"width={width} cannot be cut into model.tiny.heads={heads}"):
        build_model(TinyModel(layers=1, width=width, heads=heads, mlp=8), build_tokenizer(TEXTS), 0)


def test_create_writes_a_folder_that_knows_every_word_of_every_rulebook(tmp_path: Path) -> None:
    chosen = recipe(show_admissible=True)
    environment = build_environment(chosen.environment)
    report = create(chosen, environment, bank_for(chosen.skills, environment), tmp_path / "model")
    assert report.unknown_words == ()
    tokenizer = load_tokenizer(str(report.folder))
    model = load_model(str(report.folder))
    assert report.vocabulary == len(tokenizer) == model.config.vocab_size
    assert report.parameters == sum(weights.numel() for weights in model.parameters())
    assert (report.folder / "model.safetensors").is_file()
    for seed in range(5):
        texts = environment.with_rulebook(seed).describe_skills().values()
        for text in texts:
            body = text.split("---\n")[2]
            assert tokenizer.unk_token_id not in tokenizer(body)["input_ids"]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_create_refuses_to_overwrite_and_a_recipe_without_a_shape(tmp_path: Path) -> None:
    chosen = recipe()
    environment = build_environment(chosen.environment)
    bank = bank_for(chosen.skills, environment)
    (tmp_path / "model").mkdir()
    with pytest.raises(ModelError, match="is there already: remove it"):
        create(chosen, environment, bank, tmp_path / "model")
    plain = Recipe.model_validate({"name": "t", "model": {"path": "x"}, "environment": {"name": "household"}})
    with pytest.raises(ModelError, match=r"no model\.tiny"):
        create(plain, environment, bank, tmp_path / "other")
