"""Windowed and full context: what is shown, what is cut, and where the two agree."""

import pytest
from scripted import Counter, context, loop, tokenizer

from sdar_cli.errors import ModelError
from sdar_cli.rollout.episode import StopReason
from sdar_cli.rollout.loop import Start
from sdar_cli.training.rows import make_rows
from sdar_envs.base import Options

TASKS = Counter(Options()).tasks("train")


def play(kind, answer=lambda turn, text: "go", tasks=TASKS, **changes):
    made, script = loop(answer, kind=kind, **changes)
    return made.play([Start(task, g) for g, task in enumerate(tasks)]), script


def test_first_turns_agree():
    window, _ = play("window")
    full, _ = play("full")
    for a, b in zip(window, full, strict=True):
        assert a.turns[0].prompt_ids == b.turns[0].prompt_ids
        assert a.turns[0].teacher_prompt_ids == b.turns[0].teacher_prompt_ids


def test_rows_of_one_turn_episodes_are_the_same():
    window, _ = play("window", tasks=TASKS[:1] * 2)
    full, _ = play("full", tasks=TASKS[:1] * 2)
    assert make_rows(window, context="window") == make_rows(full, context="full")


def test_full_context_keeps_every_sampled_token_and_masks_the_rest():
    (episode,), script = play("full", tasks=TASKS[3:])
    (row,) = make_rows([episode], context="full")
    sampled = [token for token, m in zip(row.completion_ids, row.mask, strict=True) if m]
    assert sampled == [token for turn in episode.turns for token in turn.response_ids]
    masked = script.tokenizer.decode([t for t, m in zip(row.completion_ids, row.mask, strict=True) if not m])
    assert "3 left" in masked and "2 left" in masked and "1 left" in masked
    assert row.prompt_ids + row.completion_ids == episode.turns[-1].prompt_ids + episode.turns[-1].response_ids
    assert [row.turns[i] for i, m in enumerate(row.mask) if m] == [
        turn.index for turn in episode.turns for _ in turn.response_ids
    ]


def test_full_context_is_what_the_template_would_render():
    """Continuing token by token gives the conversation that the chat template writes in one go."""
    (episode,), script = play("full", tasks=TASKS[1:2])
    environment = Counter(Options())
    messages = [
        {"role": "user", "content": "say go 2 times after  now 2 left"},
        {"role": "assistant", "content": "go"},
        {"role": "user", "content": environment.followup(environment.reset(TASKS[0]))},
    ]
    text = script.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert episode.turns[1].prompt_ids == script.tokenizer(text, add_special_tokens=False)["input_ids"]


def test_history_window_is_respected_and_the_task_always_shown():
    _, script = play("window", tasks=TASKS[3:], window=1)
    last = script.asked[3][0]
    assert "2 left go now 1 left" in last and "3 left" not in last and "say go 4 times" in last
    _, script = play("window", tasks=TASKS[3:], window=0)
    assert "say go 4 times after now 1 left" in script.asked[3][0]


def test_oldest_turns_go_first_and_skills_never():
    full_length = len(play("window", tasks=TASKS[3:])[0][0].turns[3].prompt_ids)
    episodes, script = play("window", tasks=TASKS[3:], max_prompt_tokens=full_length - 1)
    turn = episodes[0].turns[3]
    assert "2 left go now 1 left" in script.asked[3][0] and "3 left" not in script.asked[3][0]
    assert "one after another" in script.tokenizer.decode(turn.teacher_prompt_ids)


@pytest.mark.parametrize("kind", ["window", "full"])
def test_what_does_not_fit_ends_the_episode(kind):
    (episode,), _ = play(kind, tasks=TASKS[3:], max_prompt_tokens=5)
    assert episode.stop is StopReason.CONTEXT_FULL and not episode.turns and not episode.trainable


def test_full_context_ends_when_it_has_outgrown_the_limit():
    whole = play("full", tasks=TASKS[3:])[0][0]
    limit = len(whole.turns[3].prompt_ids) - 1
    (episode,), _ = play("full", tasks=TASKS[3:], max_prompt_tokens=limit)
    assert episode.stop is StopReason.CONTEXT_FULL and len(episode.turns) == 3


def test_skills_for_the_policy_itself():
    made = tokenizer()
    own = context(made).seen_by(skills=True)
    environment = own.environment
    dialogue = own.open(TASKS[0], environment.reset(TASKS[0]), "Count with care.")
    prompt = own.prompt(dialogue)
    assert "Count with care" in made.decode(prompt.ids) and prompt.teacher_ids is None


def test_a_tokenizer_without_chat_template_is_refused():
    made = tokenizer()
    made.chat_template = None
    with pytest.raises(ModelError, match="no chat template"):
        context(made)
