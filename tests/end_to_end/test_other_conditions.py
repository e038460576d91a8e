"""``sdar eval`` of a run in another environment than its own: nothing that was measured before is paired."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from short_sdar import Done, Sdar, Trained

sys.path.append(str(Path(__file__).parents[1] / "envs"))

from search_qa_server import serving

from sdar_cli.errors import PanelError
from sdar_cli.evaluation.report import InternalisationReport
from sdar_cli.evaluation.result import Evaluation
from sdar_cli.runs.store import RunFolder
from sdar_envs.search_qa.environment import BRIEF_SKILLS, SearchQa, SearchQaOptions
from sdar_envs.search_qa.retrievers import close_all

SHORT = (
    "environment.options.entities=5",
    "environment.options.train=16",
    "environment.options.test=4",
    "environment.workers=1",
    f"skills.bank={BRIEF_SKILLS}",
    "rollout.tasks=1",
    "rollout.group=2",
    "rollout.max_turns=2",
    "rollout.max_prompt_tokens=800",
    "rollout.max_response_tokens=4",
    "train.steps=1",
    "evaluation.tasks=4",
    "warmup.demonstrations=8",
    "warmup.required_success=0",
    "tracking.traces=0",
    "tracking.system_metrics=false",
)
PLAYED_AGAIN = "base without skills"


@pytest.fixture(scope="module")
def trained(sdar: Sdar) -> Trained:
    """A bank of its own, so that it is not the bank by which a change of ``brief`` is noticed."""
    done = sdar("train", "--recipe", "search-qa-tiny", *SHORT, "--name", "conditions", "--json")
    assert done.code == 0, done.err
    return Trained(done, RunFolder.open(sdar.root / "conditions"))


def evaluate(sdar: Sdar, *changes: str) -> Done:
    done = sdar("eval", "conditions", "--no-skills", "--json", *changes)
    assert done.code == 0, done.err
    return done


def test_the_start_and_the_result_state_the_corpus(sdar: Sdar, trained: Trained) -> None:
    facts = SearchQa(SearchQaOptions(questions="generated", entities=5)).facts()
    assert set(facts) == {"retriever", "documents", "corpus"}
    line = f"search-qa: retriever bm25, documents {facts['documents']}, corpus {facts['corpus']}"
    done = evaluate(sdar)
    assert line in trained.done.err.splitlines() and line in done.err.splitlines()
    assert trained.done.json["report"]["facts"] == done.json["report"]["facts"] == facts
    shown = sdar("eval", "conditions", "--no-skills").out
    assert f"{line}." in " ".join(shown.split())


def test_the_base_is_played_again_where_prompts_are_others(sdar: Sdar, trained: Trained) -> None:
    own = {name: file.read_bytes() for name, file in trained.run.evaluations().items()}
    assert PLAYED_AGAIN not in evaluate(sdar).err, "the training has measured it"
    other = evaluate(sdar, "environment.options.brief=false")
    assert PLAYED_AGAIN in other.err and other.json["report"]["options"] == {"brief": False}
    assert PLAYED_AGAIN not in evaluate(sdar, "environment.options.brief=false").err
    assert PLAYED_AGAIN not in evaluate(sdar).err
    files = trained.run.evaluations()
    added = sorted(files.keys() - own.keys())
    assert [name.rpartition("-")[0] for name in added] == ["base-no_skills", "report", "trained-step-1-no_skills"]
    assert len({name.rpartition("-")[2] for name in added}) == 1
    full, trained_full = (Evaluation.load(files[name]) for name in (added[0], added[2]))
    assert full.options == trained_full.options == {"brief": False}
    brief = [Evaluation.load(files[name]) for name in ("base-skills", "trained-step-1-skills")]
    assert Evaluation.load(files["base-no_skills"]).options == brief[0].options == {"brief": True}
    with pytest.raises(PanelError, match=r"differ \(brief: True and False\)"):
        InternalisationReport.build(full, brief[0], trained_full, brief[1])


def test_the_base_is_played_again_where_another_retriever_answers(sdar: Sdar, trained: Trained) -> None:
    """Not where the same one is named that is taken by default, or only a timeout changes."""
    evaluate(sdar)
    for same in ("environment.options.retriever=bm25", "environment.options.timeout=9"):
        assert PLAYED_AGAIN not in evaluate(sdar, same).err
    with serving(lambda query: [f'"{query}"\nNobody knows.'], lambda query, before: None) as server:
        other = evaluate(sdar, "environment.options.retriever=http", f"environment.options.urls=[{server.url}]")
        close_all()
    assert PLAYED_AGAIN in other.err and other.json["report"]["facts"] == {"retriever": "http"}
