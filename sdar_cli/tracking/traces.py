"""Episodes as MLflow traces: a root span an episode, a span a turn.

Spans are built whole and written in one batch: MLflow's live tracing makes a write a span, some twenty
times slower. Their times only keep the turns in order (a millisecond each), since turns of many
episodes are generated together and have no duration of their own.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sdar_cli.rollout.episode import Episode, StopReason, Turn
from sdar_cli.visible import visible

if TYPE_CHECKING:
    from mlflow.entities import Span, TraceInfo

Signals = Mapping[tuple[int, int], Mapping[str, float]]
"""(episode's position in the rollout, turn index) → ``gap_mean`` and ``gate_mean``."""

TAG_LIMIT = 5000
"""Characters of a tag's value that every store accepts."""
PREVIEW_LIMIT = 1000
NAME_LIMIT = 250
"""Characters of a span's name: a task's type is the environment's word."""
TURN_NS = 1_000_000


def choose(episodes: Sequence[Episode], limit: int | None) -> list[int]:
    """Positions of at most ``limit`` episodes to trace, solved and unsolved in turns; None: all of them."""
    if limit is None or limit >= len(episodes):
        return list(range(len(episodes)))
    solved = [i for i, episode in enumerate(episodes) if episode.won]
    unsolved = [i for i, episode in enumerate(episodes) if not episode.won]
    half = limit // 2
    from_solved = max(min(len(solved), limit - half), limit - len(unsolved))
    return sorted(solved[:from_solved] + unsolved[: limit - from_solved])


def build_trace(
    episode: Episode,
    *,
    run: str,
    step: int,
    mode: str,
    position: int = 0,
    signals: Signals | None = None,
    salt: str = "",
) -> dict[str, Any]:
    """The trace of one episode, as plain data.

    Its id is a function of run, step, mode and position, and of ``salt``: the same episode is the same trace, however
    often it is sent. Tags: task_id, task_type, success, step, mode, stop. The run's id is in the metadata, which
    shows the trace in the run's Traces tab.
    """
    trace = _token(16, run, str(step), mode, str(position), salt)
    root = _token(8, trace.hex(), "root")
    start = time.time_ns()
    end = start + TURN_NS * max(1, len(episode.turns))
    failed = episode.stop is StopReason.ENVIRONMENT_ERROR
    name = _shown(f"{mode} · step {step} · {episode.task.task_type}")[:NAME_LIMIT]
    goal = episode.goal or episode.task.goal or episode.task.id
    inputs = {"task": goal, "skills": list(episode.skills)}
    outputs = {
        "success": episode.won,
        "score": episode.score,
        "reward": episode.reward,
        "stop": episode.stop.value,
        "turns": len(episode.turns),
        "invalid_turns": episode.invalid_turns,
    }
    if episode.error:
        outputs["error"] = episode.error
    facts = {
        "task_id": episode.task.id,
        "task_type": episode.task.task_type,
        "group": episode.group,
        "sample": episode.sample,
    }
    spans = [_span(trace, root, None, name, "AGENT", (start, end), inputs, outputs, facts, failed)]
    for order, turn in enumerate(episode.turns):
        times = (start + order * TURN_NS, start + (order + 1) * TURN_NS)
        own = dict((signals or {}).get((position, turn.index), {}))
        spans.append(
            _span(
                trace,
                _token(8, trace.hex(), str(order)),
                root,
                f"turn {turn.index}",
                "LLM",
                times,
                turn.prompt_text,
                turn.response,
                _turn_facts(turn) | own,
                failed=False,
            )
        )
    tags = {
        "task_id": episode.task.id,
        "task_type": episode.task.task_type,
        "success": str(episode.won and not failed).lower(),
        "step": str(step),
        "mode": mode,
        "stop": episode.stop.value,
    }
    usage = {"input_tokens": episode.prompt_tokens, "output_tokens": episode.response_tokens}
    info = {
        "trace_id": "tr-" + trace.hex(),
        "request_time": start // 1_000_000,
        "execution_duration": (end - start) // 1_000_000,
        "state": "ERROR" if failed else "OK",
        "request_preview": visible(goal)[:PREVIEW_LIMIT],
        "response_preview": f"{episode.stop.value} after {len(episode.turns)} turns",
        "trace_metadata": {
            "mlflow.sourceRun": run,
            "mlflow.trace_schema.version": "3",
            "mlflow.trace.tokenUsage": json.dumps(usage | {"total_tokens": sum(usage.values())}),
        },
        "tags": {key: _shown(value)[:TAG_LIMIT] for key, value in tags.items()} | {"mlflow.traceName": name},
    }
    return {"info": info, "spans": spans}


def as_mlflow(trace: Mapping[str, Any], run: str, experiment: str) -> tuple[TraceInfo, list[Span]]:
    """For ``TracingClient.start_trace`` and ``log_spans``; the run may have been made since the episode was played."""
    from mlflow.entities import Span, TraceInfo, TraceLocation, TraceState

    info = dict(trace["info"])
    info["trace_metadata"] = {**info["trace_metadata"], "mlflow.sourceRun": run}
    state = TraceState(info.pop("state"))
    location = TraceLocation.from_experiment_id(experiment)
    return TraceInfo(**info, state=state, trace_location=location), [Span.from_dict(span) for span in trace["spans"]]


def _turn_facts(turn: Turn) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "action": turn.action,
        "observation": turn.observation,
        "reward": turn.reward,
        "prompt_tokens": len(turn.prompt_ids),
        "response_tokens": len(turn.response_ids),
    }
    if turn.invalid is not None:
        facts["invalid"] = turn.invalid
    if turn.truncated:
        facts["truncated"] = True
    if turn.teacher_prompt_ids is not None:
        facts["teacher_prompt_tokens"] = len(turn.teacher_prompt_ids)
    return facts


def _span(
    trace: bytes,
    own: bytes,
    parent: bytes | None,
    name: str,
    kind: str,
    times: tuple[int, int],
    inputs: Any,
    outputs: Any,
    facts: Mapping[str, Any],
    failed: bool,
) -> dict[str, Any]:
    attributes = {
        "mlflow.traceRequestId": "tr-" + trace.hex(),
        "mlflow.spanType": kind,
        "mlflow.spanInputs": inputs,
        "mlflow.spanOutputs": outputs,
        **facts,
    }
    return {
        "trace_id": _base64(trace),
        "span_id": _base64(own),
        "parent_span_id": _base64(parent) if parent else None,
        "name": name,
        "start_time_unix_nano": times[0],
        "end_time_unix_nano": times[1],
        "status": {"code": "STATUS_CODE_ERROR" if failed else "STATUS_CODE_OK", "message": ""},
        "attributes": {key: json.dumps(value) for key, value in attributes.items()},
    }


def _shown(text: str) -> str:
    """On one line, without characters that hide or turn others."""
    return visible(" ".join(text.split()))


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _token(length: int, *parts: str) -> bytes:
    return hashlib.sha256("/".join(parts).encode()).digest()[:length]
