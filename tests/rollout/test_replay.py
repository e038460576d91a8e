"""Rollouts on disk: any episode comes back as it was, torn files are mended, wrong ones are one sentence."""

from __future__ import annotations

import dataclasses
import gzip
import json
import math
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

from recorded_rollouts import one, rollout

from sdar_cli.errors import UserError
from sdar_cli.rollout import replay
from sdar_cli.rollout.episode import Episode, StopReason, Turn
from sdar_cli.rollout.replay import append_rollout, read_rollouts
from sdar_envs.base import Task

NAMES = ("rollouts.jsonl", "rollouts.jsonl.gz")
TEXT = st.text(max_size=12)
"""Controls and line separators included; halves of surrogate pairs never come this far."""
IDS = st.lists(st.integers(0, 2**31 - 1), max_size=5)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | FLOATS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def turns(draw, index: int) -> Turn:
    response = draw(IDS)
    return Turn(
        index=index,
        prompt_ids=[*draw(IDS), 1],
        teacher_prompt_ids=draw(st.none() | IDS.map(lambda ids: [*ids, 2])),
        response_ids=response,
        logprobs=draw(st.none() | st.lists(FLOATS, min_size=len(response), max_size=len(response))),
        prompt_text=draw(TEXT),
        response=draw(TEXT),
        action=draw(st.none() | TEXT),
        invalid=draw(st.none() | TEXT),
        observation=draw(TEXT),
        reward=draw(FLOATS),
        truncated=draw(st.booleans()),
    )


@st.composite
def episodes(draw, group: int, sample: int) -> Episode:
    return Episode(
        task=Task(draw(TEXT), draw(TEXT), draw(TEXT), draw(st.dictionaries(TEXT, JSON, max_size=2))),
        goal=draw(TEXT),
        group=group,
        sample=sample,
        skills=tuple(draw(st.lists(TEXT, max_size=3))),
        has_task_skill=draw(st.booleans()),
        turns=[draw(turns(k)) for k in range(draw(st.integers(0, 3)))],
        stop=draw(st.sampled_from(StopReason)),
        reward=draw(FLOATS),
        won=draw(st.booleans()),
        score=draw(FLOATS),
        error=draw(st.none() | TEXT),
    )


@given(st.data(), st.sampled_from(NAMES))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_episode_comes_back_as_it_was(tmp_path_factory, data, name):
    path = tmp_path_factory.mktemp("r") / name
    written = {}
    for step in data.draw(st.lists(st.integers(0, 9), min_size=1, max_size=3, unique=True)):
        places = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=3, unique=True)
        played = [data.draw(episodes(*place)) for place in data.draw(places)]
        append_rollout(path, step, played)
        written[step] = sorted(played, key=lambda e: (e.group, e.sample))
    read = read_rollouts(path)
    assert read == written and list(read) == sorted(written)
    for episode in (e for played in read.values() for e in played):
        assert isinstance(episode.stop, StopReason) and isinstance(episode.skills, tuple)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("where", ["reward", "score", "turn", "log-prob"])
def test_what_no_training_can_use_is_kept_and_refused(tmp_path, name, where):
    """A step whose loss is not finite is written down as it was; trained on again it is not."""
    path, wrong = tmp_path / name, math.nan if where == "score" else -math.inf
    episode = one(**{where: wrong} if where in ("reward", "score") else {})
    if where == "turn":
        episode.turns[0].reward = wrong
    elif where == "log-prob":
        episode.turns[0].logprobs = [wrong]
    append_rollout(path, 0, [one(1), episode])
    with pytest.raises(UserError, match=r"line 2, is no recorded episode \((NaN|-Infinity), which is not a number"):
        read_rollouts(path)


@pytest.mark.parametrize("name", NAMES)
def test_what_was_recorded_twice_counts_as_it_was_recorded_last(tmp_path, name):
    path = tmp_path / name
    for text in ("first", "second"):
        append_rollout(path, 3, [one(text=text), one(sample=1, text=text)])
    append_rollout(path, 3, [one(text="third")])
    assert [e.turns[0].response for e in read_rollouts(path)[3]] == ["third", "second"]


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_was_cut_off_anywhere_keeps_what_is_whole(tmp_path, name):
    """At every byte of the last write; what came before is never lost, and never wrong."""
    path = tmp_path / name
    append_rollout(path, 0, rollout(0))
    append_rollout(path, 1, rollout(1))
    sound = path.read_bytes()
    append_rollout(path, 2, rollout(2, groups=1))
    whole = path.read_bytes()
    before = {0: rollout(0), 1: rollout(1)}
    for cut in range(len(sound), len(whole) + 1):
        path.write_bytes(whole[:cut])
        read = read_rollouts(path)
        assert {step: read[step] for step in (0, 1)} == before, cut
        assert read.get(2, []) == rollout(2, groups=1)[: len(read.get(2, []))], cut
    assert read == before | {2: rollout(2, groups=1)}


@pytest.mark.parametrize("name", NAMES)
def test_what_is_written_behind_a_broken_write_is_not_lost(tmp_path, name):
    """A run that was killed while it wrote, and resumed: the torn end is cut off before more is added."""
    path = tmp_path / name
    append_rollout(path, 0, rollout(0))
    sound = path.read_bytes()
    append_rollout(path, 1, rollout(1))
    whole = path.read_bytes()
    for cut in range(len(sound), len(whole), 19):
        path.write_bytes(whole[:cut])
        append_rollout(path, 1, rollout(1))
        append_rollout(path, 2, rollout(2))
        assert read_rollouts(path) == {step: rollout(step) for step in range(3)}, cut


def test_a_large_file_is_not_read_again_at_every_step(tmp_path, monkeypatch):
    path = tmp_path / "r.jsonl.gz"
    append_rollout(path, 0, rollout(0))
    monkeypatch.setattr(replay, "sound_members", lambda *_: pytest.fail("the whole file was read"))
    append_rollout(path, 1, rollout(1))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("content", ["dear diary\n", "dear diary", '{"a": 1}\n'])
def test_a_file_of_something_else_is_not_touched(tmp_path, name, content):
    path = tmp_path / name
    data = gzip.compress(content.encode()) if name.endswith(".gz") else content.encode()
    path.write_bytes(data)
    with pytest.raises(
        UserError, match=r"exists and is no recording of rollouts: name another file with rollout.record"
    ):
        append_rollout(path, 0, rollout(0))
    assert path.read_bytes() == data


def test_a_zip_name_on_plain_text_is_not_touched_either(tmp_path):
    path = tmp_path / "r.jsonl.gz"
    path.write_text("dear diary\n")
    with pytest.raises(UserError, match="is not gzip"):
        append_rollout(path, 0, rollout(0))
    assert path.read_text() == "dear diary\n"


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_file_is_a_beginning(tmp_path, name):
    path = tmp_path / name
    path.touch()
    append_rollout(path, 0, rollout(0))
    assert read_rollouts(path) == {0: rollout(0)}


def test_a_recording_of_gzips_own_tool_is_read(tmp_path):
    """Decompressed, edited and compressed again as one piece, or pieces put behind one another."""
    path = tmp_path / "r.jsonl.gz"
    append_rollout(path, 0, rollout(0))
    append_rollout(path, 1, rollout(1))
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())))
    assert read_rollouts(path) == {0: rollout(0), 1: rollout(1)}
    append_rollout(path, 2, rollout(2))
    assert read_rollouts(path) == {step: rollout(step) for step in range(3)}


def test_a_task_that_json_cannot_hold_is_a_sentence(tmp_path):
    episode = dataclasses.replace(one(), task=Task("t", "type", "", {"set": {1, 2}}))
    with pytest.raises(UserError, match=r"cannot hold these tasks \(.*set.*\): remove rollout\.record"):
        append_rollout(tmp_path / "r.jsonl", 0, [episode])
    assert not (tmp_path / "r.jsonl").exists()


def line(**changes) -> str:
    """A recorded line; a change of ``turn`` is one of its turn."""
    turn = changes.pop("turn", {})
    content = {"format": 1, "step": 0, **dataclasses.asdict(one())} | changes
    content["turns"] = [content["turns"][0] | turn]
    return json.dumps({key: value for key, value in content.items() if value is not ...})


WRONG = {
    "not json": ("{", "not JSON (line 1: Expecting property name"),
    "no object": ("[1]", "its format is not 1"),
    "a number": ("3", "its format is not 1"),
    "empty": ("", "Expecting value"),
    "another format": (line(format=2), "its format is not 1"),
    "no format": (line(format=...), "its format is not 1"),
    "no step": (line(step=...), "its step is not a number"),
    "a step of words": (line(step="one"), "its step is not a number"),
    "a step below 0": (line(step=-1), "its step is not a number"),
    "no task": (line(task=...), "task: "),
    "a task of words": (line(task="t"), "task: "),
    "no reward": (line(reward=None), "reward: "),
    "turns of words": (json.dumps({**json.loads(line()), "turns": "none"}), "turns: "),
    "another reason": (line(stop="tired"), "stop: "),
    "no prompt": (line(turn={"prompt_ids": None}), "turns.0.prompt_ids: "),
    "an empty prompt": (line(turn={"prompt_ids": []}), "the prompt of turn 0 is empty"),
    "an empty teacher prompt": (line(turn={"teacher_prompt_ids": []}), "the prompt of turn 0 is empty"),
    "words for tokens": (line(turn={"response_ids": ["a"]}), "turns.0.response_ids.0: "),
    "a negative token": (line(turn={"response_ids": [-1], "logprobs": None}), "turn 0 holds a number that is no token"),
    "a huge token": (line(turn={"prompt_ids": [2**40]}), "turn 0 holds a number that is no token"),
    "too few log-probs": (line(turn={"logprobs": []}), "turn 0 has 0 log-probs for 1 tokens"),
    "a turn out of order": (line(turn={"index": 3}), "turn 0 has the index 3"),
    "a tower": ("[" * 100_000, "nested deeper than 64 levels"),
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_line_is_one_sentence_with_its_number(tmp_path, name, wrong):
    text, says = WRONG[wrong]
    path = tmp_path / name
    data = f"{line()}\n{text}\n{line(sample=1)}\n".encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    with pytest.raises(UserError) as caught:
        read_rollouts(path)
    said = str(caught.value)
    assert said.startswith(f"{path}, line 2, is no recorded episode (") and says in said
    assert said.endswith("): record the rollouts again") and "\n" not in said and len(said) < 400


@given(st.text(max_size=60) | st.binary(max_size=60))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_file_is_a_sentence(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("r")
    data = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    for path, written in ((folder / "r.jsonl", data), (folder / "r.gz", data), (folder / "z.gz", gzip.compress(data))):
        path.write_bytes(written)
        with pytest.raises(UserError) as caught:
            read_rollouts(path)
        assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_missing_damaged_and_empty_files(tmp_path):
    with pytest.raises(UserError, match=r"no\.jsonl does not exist: correct rollout.replay"):
        read_rollouts(tmp_path / "no.jsonl")
    with pytest.raises(UserError, match=r"is a folder, not a file: correct rollout.replay"):
        read_rollouts(tmp_path)
    empty = tmp_path / "empty.jsonl"
    empty.touch()
    with pytest.raises(UserError, match=r"empty\.jsonl holds no episode: record rollouts with rollout.record="):
        read_rollouts(empty)
    damaged = tmp_path / "damaged.gz"
    append_rollout(damaged, 0, rollout(0))
    middle = damaged.stat().st_size
    append_rollout(damaged, 1, rollout(1))
    data = bytearray(damaged.read_bytes())
    data[middle] = 0
    damaged.write_bytes(data)
    with pytest.raises(UserError, match=r"damaged\.gz is damaged: name another, or record the rollouts again"):
        read_rollouts(damaged)
