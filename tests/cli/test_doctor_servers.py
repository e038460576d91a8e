"""``sdar doctor --recipe``: the servers that a recipe needs."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import pytest

from sdar_cli.checkup import needs, server
from sdar_cli.checkup.finding import Finding
from sdar_cli.cli.main import main
from sdar_cli.engines.client import EXTENSION

sys.path.insert(0, str(Path(__file__).parent))

from answering_server import answering
from doctor_recipes import recipe


def started(tokens: int = 8192, **more: object) -> dict[str, tuple[int, str]]:
    """What a vLLM server that was started for training says of itself."""
    config = {"parallel_config": {"worker_extension_cls": EXTENSION}, "model_config": {}} | more
    models = {"data": [{"id": "Qwen/Qwen3-1.7B", "max_model_len": tokens}]}
    return {
        "/v1/models": (200, json.dumps(models)),
        "/server_info": (200, json.dumps({"vllm_config": config})),
    }


def test_a_server_must_take_the_skills_too() -> None:
    """Training counts the whole bank beside prompt and response; letters are counted here, for want of a tokenizer."""
    own = recipe(name="quickstart")
    plain = own.rollout.max_prompt_tokens + own.rollout.max_response_tokens
    letters = server.skills_letters(own)
    assert letters > 300
    enough = plain + math.ceil(letters / server.LETTERS_A_TOKEN)
    for tokens, verdict in ((enough, "ok"), (enough - 1, "problem"), (plain, "problem")):
        with answering(started(tokens)) as url:
            finding = server.server(own, url)
        assert finding.verdict == verdict
        expected = f"about {enough:,} with skills" if verdict == "ok" else f"a response may have {enough}"
        assert expected.replace("a response", "its response") in finding.found
    assert finding.remedy == f"start it with --max-model-len {enough}"
    with answering(started(plain)) as url:
        unknown = server.server(recipe("skills.bank=/not/here", name="quickstart"), url)
    assert unknown.verdict == "ok" and unknown.found.endswith(f"at least {plain:,}, skills not counted, are needed")


def test_what_is_asked_of_a_server_is_what_training_needs(tmp_path: Path) -> None:
    from sdar_cli.models.tiny import build_tokenizer, environment_texts, skill_texts
    from sdar_cli.training.build import longest_sequence
    from sdar_cli.workshop import Workshop

    own = recipe(name="quickstart")
    with Workshop.open(own) as workshop:
        tokenizer = build_tokenizer([*environment_texts(own, workshop.environment), *skill_texts(workshop.bank)])
        longest = longest_sequence(own, workshop, tokenizer)
    plain = own.rollout.max_prompt_tokens + own.rollout.max_response_tokens
    assert plain < longest <= plain + server.skills_letters(own) / server.LETTERS_A_TOKEN


def test_servers_are_asked() -> None:
    def look(paths: dict) -> Finding:
        with answering(paths) as url:
            (finding,) = needs.engine(recipe("engine.mode=server", f"engine.server_url={url}"))
        return finding

    own = recipe()
    needed = own.rollout.max_prompt_tokens + own.rollout.max_response_tokens
    needed += math.ceil(server.skills_letters(own) / server.LETTERS_A_TOKEN)
    assert look(started()).found.endswith(
        f"holds Qwen/Qwen3-1.7B and takes 8,192 tokens; about {needed:,} with skills are needed"
    )
    plain = {path: answer for path, answer in started().items() if path != "/server_info"}
    assert "VLLM_SERVER_DEV_MODE" in look(plain).found and look(plain).remedy.startswith("start it")
    assert "--worker-extension-cls" in look(started(parallel_config={})).remedy
    assert "no OpenAI-compatible" in look({"/v1/models": (200, '{"data": []}')}).found
    gone = next(needs.engine(recipe("engine.mode=server", "engine.server_url=http://127.0.0.1:9")))
    assert gone.verdict == "problem" and "docs/vllm.md" in gone.remedy


def test_a_server_that_takes_weights_from_anybody_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    own = recipe(name="quickstart")
    with answering(started()) as url:
        assert server.server(own, url).verdict == "ok", "on this machine alone"
        monkeypatch.setattr("sdar_cli.servers.guard.is_loopback", lambda host: False)
        finding = server.server(own, url)
        assert finding.verdict == "problem" and "from whoever reaches it" in finding.found
        assert finding.remedy == "start it with --middleware sdar_cli.servers.guard.VllmGuard and VLLM_API_KEY set"


@pytest.mark.parametrize(
    ("url", "key", "found", "remedy"),
    [
        ("http://a..b:8000", "", "is no URL", "give one such as http://127.0.0.1:8000"),
        (f"http://{'a' * 64}.example:8000", "", "is no URL", "give one such as http://127.0.0.1:8000"),
        ("http://127.0.0.1:9", "schlüssel", "VLLM_API_KEY holds letters", "set it to the server's key"),
    ],
)
def test_a_url_or_key_that_cannot_be_is_one_finding_among_the_others(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    url: str,
    key: str,
    found: str,
    remedy: str,
) -> None:
    monkeypatch.setenv("VLLM_API_KEY", key)
    words = ["doctor", "-r", "quickstart", "engine.kind=vllm", "engine.mode=server", "--runs", str(tmp_path), "--json"]
    assert main([*words, f"engine.server_url={json.dumps(url)}"]) == 1
    told = json.loads(capsys.readouterr().out)
    (server,) = [finding for finding in told["findings"] if finding["subject"] == "vLLM server"]
    assert server["verdict"] == "problem" and found in server["found"] and server["remedy"] == remedy
    assert "schl" not in server["found"], "a key is shown to nobody"
    assert len(told["findings"]) > 5, "the rest was looked at as well"


def test_a_retriever_that_does_not_answer() -> None:
    own = ("environment.options.questions=generated", "environment.options.urls=[http://127.0.0.1:9/retrieve]")
    finding = needs.environment(recipe(*own, "evaluation.tasks=4", name="search-qa-qwen2.5-3b"))
    assert finding.verdict == "problem" and "http://127.0.0.1:9" in finding.found
    assert "sdar retriever serve" in finding.remedy
