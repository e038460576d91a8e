"""Transcripts: tokens that add up to the text, a policy that reads what it read before, and files that are whole."""

from __future__ import annotations

import gzip
import json
import math
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdar_cli.errors import RunError
from sdar_cli.evaluation.result import EpisodeRecord, Evaluation
from sdar_cli.evaluation.token_texts import token_texts
from sdar_cli.evaluation.transcripts import Witness, load_transcript, save_transcript, transcript_file
from sdar_cli.models.tiny import build_tokenizer
from sdar_cli.rollout.context import Context
from sdar_cli.rollout.episode import Episode, StopReason, Turn
from sdar_cli.skills.bank import SkillBank
from sdar_envs.base import Observation, Task
from sdar_envs.household.environment import Household, HouseholdOptions

WORDS = build_tokenizer(["take the spoon to the sink, and wash it. naïve 🧊"])


def byte_decode(ids: list[int]) -> str:
    """Every byte a token, as at the worst of a byte-level tokenizer."""
    return bytes(ids).decode("utf-8", "replace")


def word_decode(ids: list[int]) -> str:
    return WORDS.decode(ids, skip_special_tokens=True)


def piece_decode(ids: list[int]) -> str:
    """As SentencePiece does: every piece begins with a space, and the text's first one is dropped."""
    return "".join(f" w{one}" for one in ids).removeprefix(" ")


def contrary_decode(ids: list[int]) -> str:
    """What comes last changes what stood before: no decoder of ours, but the worst there could be."""
    return "".join(chr(97 + one % 26) for one in ids)[:: -1 if len(ids) % 2 else 1]


# -- tokens -------------------------------------------------------------------------------------------


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_character_is_its_last_bytes(text: str) -> None:
    ids = list(text.encode())
    found = token_texts(ids, byte_decode, text)
    assert "".join(found) == text and len(found) == len(ids)
    if "�" not in text:
        assert [one for one in found if one] == list(text)


@given(st.lists(st.integers(0, 255), max_size=60))
def test_bytes_that_are_no_text_still_add_up(ids: list[int]) -> None:
    text = byte_decode(ids)
    found = token_texts(ids, byte_decode, text)
    assert "".join(found) == text and len(found) == len(ids)


@pytest.mark.parametrize("decode", [word_decode, piece_decode, contrary_decode])
@given(ids=st.lists(st.integers(0, len(WORDS) - 1), max_size=40))
def test_any_decoder_adds_up(decode: Any, ids: list[int]) -> None:
    text = decode(ids)
    found = token_texts(ids, decode, text)
    assert "".join(found) == text and len(found) == len(ids)


def test_words_keep_the_space_before_them_and_special_tokens_are_empty() -> None:
    ids = WORDS("take the spoon.")["input_ids"] + [WORDS.eos_token_id]
    assert token_texts(ids, word_decode, word_decode(ids)) == ["take", " the", " spoon", " .", ""]


# -- what the policy reads ----------------------------------------------------------------------------


def context(skills: bool, kind: str = "window") -> Context:
    environment = Household(HouseholdOptions())
    tasks = environment.tasks("test")[:3]
    tokenizer = build_tokenizer([task.goal for task in tasks])
    return Context(environment, tokenizer, kind, 2, 512, "user", {}, skills, False)


@pytest.mark.parametrize("kind", ["window", "full"])
@pytest.mark.parametrize("skills", [False, True])
def test_a_watched_policy_reads_the_same(skills: bool, kind: str) -> None:
    own = context(skills, kind)
    tasks = own.environment.tasks("test")[:3]
    witness = Witness.of([task.id for task in tasks], 2)
    assert witness is not None
    watched = witness.watch(own)
    for place, task in enumerate(tasks):
        first = Observation("You see: a spoon.", ("take spoon",))
        dialogues = [one.open(task, first, "Skills:\nWash with the sink.") for one in (own, watched)]
        for number in range(3):
            plain, beside = (one.prompt(d) for one, d in zip((own, watched), dialogues, strict=True))
            assert plain is not None and beside is not None
            assert (plain.ids, plain.text) == (beside.ids, beside.text)
            assert plain.teacher_ids is None
            expected = place < 2 and not skills and (kind == "window" or number == 0)
            assert (beside.teacher_ids is not None) == expected
            if expected:
                assert beside.teacher_ids == replace(own, policy_sees_skills=True).prompt(dialogues[1]).ids
            for one, prompt, dialogue in zip((own, watched), (plain, beside), dialogues, strict=True):
                one.advance(dialogue, prompt, [5, 6], "take spoon", Observation(f"Seen {number}.", ()))
    assert witness.first == {task.id: "You see: a spoon." for task in tasks[:2]}


def test_without_retrieved_skills_there_is_no_other_prompt() -> None:
    own = context(False)
    task = own.environment.tasks("test")[0]
    watched = Witness(frozenset({task.id})).watch(own)
    prompt = watched.prompt(watched.open(task, Observation("Seen.", ()), ""))
    assert prompt is not None and prompt.teacher_ids is None


def test_a_watched_context_can_be_changed_as_any_other() -> None:
    own = context(False)
    watched = Witness(frozenset()).watch(own)
    assert replace(watched, max_prompt_tokens=7).seen_by(skills=True).policy_sees_skills


def test_no_tasks_no_witness() -> None:
    assert Witness.of(["a", "b"], 0) is None
    found = Witness.of(["a", "b"], 16)
    assert found is not None and found.tasks == {"a", "b"}


# -- the file -----------------------------------------------------------------------------------------

BANK = SkillBank.from_texts(
    {
        name: f"---\nname: {name}\ndescription: d\ntask_types: []\nkeywords: []\n---\nBody of {name}.\n"
        for name in ("general", "unread")
    }
)


def episode(ids: list[int], **changes: Any) -> Episode:
    turn = Turn(0, [1], [2], ids, None, "the prompt", word_decode(ids), "take", None, "You took \ud800 it.", 1.5)
    return Episode(Task("t0", "clean"), "wash it.", 0, 0, ("general",), turns=[turn], won=True, **changes)


def evaluation(episodes: list[Episode]) -> Evaluation:
    records = tuple(EpisodeRecord.of(one) for one in episodes)
    return Evaluation("no_skills", "trained", "household", "ab" * 32, {}, 0, "hf", records, 1.0, step=40, run="mine")


def save(path: Path, scores: Any, *, about: Any = None) -> None:
    ids = WORDS("take the spoon")["input_ids"]
    played = [episode(ids), episode([], stop=StopReason.ENVIRONMENT_ERROR, error="engine broke")]
    save_transcript(
        path,
        evaluation(played),
        played,
        {"t0": "You see: a spoon."},
        decode=word_decode,
        scores=scores,
        bank=BANK,
        about=about or {"gate": {"kind": "gap"}},
    )


def test_a_file_says_all_that_was_read_said_and_done(tmp_path: Path) -> None:
    path = transcript_file(tmp_path, "trained-step-40-no_skills")
    assert path == tmp_path / "transcripts" / "trained-step-40-no_skills.jsonl.gz"
    save(path, {(0, 0): ([0.123456, -1e-9, math.nan], [0.65, 0.5, math.inf])})
    found = load_transcript(path)
    assert dict(found.head) == {
        "format": 1,
        "evaluation": "trained-step-40-no_skills",
        "run": "mine",
        "label": "trained",
        "mode": "no_skills",
        "step": 40,
        "environment": "household",
        "panel": "ab" * 32,
        "skills": {"general": "Body of general."},
        "gate": {"kind": "gap"},
    }
    first, second = found.episodes
    assert first == {
        "task": "t0",
        "type": "clean",
        "goal": "wash it.",
        "won": True,
        "score": 0.0,
        "reward": 0.0,
        "stop": "max_turns",
        "error": None,
        "skills": ["general"],
        "prompt": "the prompt",
        "read": "You see: a spoon.",
        "turns": [
            {
                "tokens": ["take", " the", " spoon"],
                "gap": [0.1235, 0.0, None],
                "gate": [0.65, 0.5, None],
                "action": "take",
                "invalid": None,
                "answer": "You took \ud800 it.",
                "reward": 1.5,
                "truncated": False,
            }
        ],
    }
    assert (second["error"], second["stop"], second["turns"][0]["tokens"]) == ("engine broke", "environment_error", [])
    assert second["turns"][0]["gap"] is None


def test_the_same_episodes_are_the_same_bytes(tmp_path: Path) -> None:
    save(tmp_path / "a", {})
    save(tmp_path / "b", {})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_failure_leaves_the_old_file(tmp_path: Path) -> None:
    save(tmp_path / "a", {})
    before = (tmp_path / "a").read_bytes()
    with pytest.raises(TypeError):
        save(tmp_path / "a", {}, about={"gate": object()})
    assert (tmp_path / "a").read_bytes() == before and len(list(tmp_path.iterdir())) == 1


LINE = json.dumps({"format": 1}).encode()


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        b"{}",
        gzip.compress(b"", mtime=0),
        gzip.compress(b"[]", mtime=0),
        gzip.compress(b'{"format": 2}', mtime=0),
        gzip.compress(LINE + b"\n{}", mtime=0),
        gzip.compress(LINE + b"\nnull", mtime=0),
        gzip.compress(LINE, mtime=0)[:-4],
        gzip.compress(LINE, mtime=0)[:12] + b"\x00\x01" + gzip.compress(LINE, mtime=0)[14:],
        gzip.compress(b"\xff\xfe" + LINE, mtime=0),
        gzip.compress(b"[" * 100_000, mtime=0),
    ],
)
def test_damage_is_one_sentence(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RunError, match=r"^the transcript .*a\.jsonl\.gz cannot be read \(it .+\): remove it, or .*$"):
        load_transcript(path)


def test_a_file_takes_little_room(tmp_path: Path) -> None:
    """16 episodes of 50 turns with 200 tokens each, whose words and gaps hardly repeat: the docstring's figure."""
    draw = random.Random(0)
    ids = [draw.randrange(4, len(WORDS)) for _ in range(200)]
    turns = [replace(episode(ids).turns[0], index=index) for index in range(50)]
    played = [replace(episode(ids), turns=turns, task=Task(f"t{n}", "clean")) for n in range(16)]
    scores = {}
    for place in range(16):
        for turn in range(50):
            gap = [draw.gauss(0, 1) for _ in ids]
            scores[place, turn] = (gap, [1 / (1 + math.exp(-5 * value)) for value in gap])
    path = tmp_path / "a"
    save_transcript(path, evaluation(played), played, {}, decode=word_decode, scores=scores, bank=BANK, about={})
    assert 0.5e6 < path.stat().st_size < 1.5e6
