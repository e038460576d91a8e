"""The turn loop: stop reasons, live episodes only, invalid turns, nothing lost."""

from collections import Counter as Count

import pytest
from scripted import Counter, loop

from sdar_cli.rollout.episode import StopReason
from sdar_cli.rollout.loop import Start
from sdar_envs.base import Options

TASKS = Counter(Options()).tasks("train")


def play(made, tasks=TASKS):
    return made.play([Start(task, group) for group, task in enumerate(tasks)])


def test_every_episode_ends_solved_and_only_live_ones_are_asked():
    made, script = loop(lambda turn, text: "go")
    episodes = play(made)
    assert [len(e.turns) for e in episodes] == [1, 2, 3, 4]
    assert all(e.stop is StopReason.SUCCESS and e.won and e.reward == 1.0 for e in episodes)
    assert [len(asked) for asked in script.asked] == [4, 3, 2, 1]


def test_stop_reasons():
    answers = {"4 times": "left", "3 times": "bad", "2 times": "crash", "1 times": "go"}
    made, _ = loop(lambda turn, text: next(a for key, a in answers.items() if key in text), max_turns=3)
    episodes = play(made)
    assert [e.stop for e in episodes] == [
        StopReason.SUCCESS,
        StopReason.ENVIRONMENT_ERROR,
        StopReason.FAILURE,
        StopReason.MAX_TURNS,
    ]
    assert "engine broke" in episodes[1].error and not episodes[1].trainable
    assert [e.trainable for e in episodes] == [True, False, True, True]


def test_a_reward_that_is_no_number_is_the_environments_error():
    made, _ = loop(lambda turn, text: "nan", max_turns=3)
    episodes = play(made)
    assert all(e.stop is StopReason.ENVIRONMENT_ERROR and not e.trainable for e in episodes)
    assert all(e.error == "answered garbage: a reward of nan" and e.reward == 0.0 for e in episodes)


@pytest.mark.parametrize("ask", ["goal", "prompt", "parse"])
def test_faults_of_the_prototype_end_single_episodes(ask, monkeypatch):
    """The task of three fails in what the main process asks of its environment; the others go on."""
    own = getattr(Counter, ask)

    def fail(self, first, *more):
        if "3" in (first if ask == "parse" else str(getattr(first, "goal", ""))):
            raise LookupError("lost the thread")
        return own(self, first, *more)

    monkeypatch.setattr(Counter, ask, fail)
    made, _ = loop(lambda turn, text: "3" if ask == "parse" and "3 times" in text else "go")
    episodes = play(made)
    assert [e.stop is StopReason.ENVIRONMENT_ERROR for e in episodes] == [False, False, True, False]
    assert episodes[2].error == f"{ask} raised LookupError: lost the thread"
    assert [e.won for e in episodes] == [True, True, False, True]
    assert len(episodes[2].turns) == (ask == "parse")


def test_a_followup_that_fails_ends_the_episode(monkeypatch):
    monkeypatch.setattr(Counter, "followup", lambda self, observation: None)
    made, _ = loop(lambda turn, text: "go", kind="full")
    first, *others = play(made)
    assert first.won and all(e.error == "followup answered garbage: None where a text is due" for e in others)


def test_a_response_without_action_costs_a_turn_and_shows_the_same_observation():
    made, script = loop(lambda turn, text: "" if turn == 0 else "go")
    (episode,) = play(made, TASKS[:1])
    first, second = episode.turns
    assert first.invalid == "empty" and first.action is None and first.observation == "1 left"
    assert second.invalid is None and episode.won
    assert "( invalid : empty )" in script.asked[1][0] or "(invalid" in script.asked[1][0]


def test_a_fallback_is_sent_and_the_turn_is_invalid_all_the_same():
    made, _ = loop(lambda turn, text: "mumble")
    (episode,) = play(made, TASKS[:1])
    assert episode.won and episode.turns[0].invalid == "mumble" and episode.turns[0].action == "go"


def test_inadmissible_commands_are_penalised_when_asked():
    made, _ = loop(lambda turn, text: "left" if turn == 0 else "go")
    made.penalise_inadmissible = True
    (episode,) = play(made, TASKS[:1])
    assert [t.invalid for t in episode.turns] == ["not admissible", None]


def test_teacher_prompts_hold_the_skills_and_policy_prompts_do_not():
    made, script = loop(lambda turn, text: "go")
    episodes = play(made)
    for episode in episodes:
        assert episode.skills == ("general", "count") and episode.has_task_skill
        for turn in episode.turns:
            teacher = script.tokenizer.decode(turn.teacher_prompt_ids)
            assert "one after another" in teacher
            assert "one after another" not in script.tokenizer.decode(turn.prompt_ids)
            assert len(turn.teacher_prompt_ids) > len(turn.prompt_ids)


def test_order_and_number_survive_small_batches():
    made, _ = loop(lambda turn, text: "go")
    made.concurrency = 3
    episodes = play(made, list(TASKS) * 3)
    assert [e.task.id for e in episodes] == [t.id for t in TASKS] * 3
    assert Count(e.stop for e in episodes) == {StopReason.SUCCESS: 12}


def test_truncated_responses_are_marked():
    made, script = loop(lambda turn, text: "go")
    inner = script.generate

    def cut(prompts):
        answers = inner(prompts)
        for answer in answers:
            answer.ids.pop()
        return answers

    script.generate = cut
    assert all(turn.truncated for episode in play(made) for turn in episode.turns)
