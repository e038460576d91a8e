"""The nine recipes of the paper: benchmarks × models, with the released settings and no other.

``RELEASED`` and ``BENCHMARKS`` transcribe the table of released settings in the page of the method, once. A value
that a base states is in that table, or its line is marked ``ours``: no number comes from nowhere.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sdar_cli.environments import check_options
from sdar_cli.objectives.registry import OBJECTIVES
from sdar_cli.recipe.estimate import tokens_per_step
from sdar_cli.recipe.layers import leaves
from sdar_cli.recipe.load import DEFAULT, ResolvedRecipe, load_recipe, shipped_folder
from sdar_cli.recipe.yaml_reader import read_file

RELEASED: dict[str, Any] = {
    "method": "sdar",
    "distill.coef": 0.01,
    "gate.kind": "gap",
    "gate.beta": 5.0,
    "teacher.kind": "live",
    "skills.retrieval": "task_type",
    "skills.general": True,
    "rollout.context": "window",
    "rollout.group": 8,
    "rollout.max_response_tokens": 512,
    "rollout.penalise": "format",
    "rollout.sampling.temperature": 1.0,
    "rollout.sampling.top_p": 1.0,
    "rollout.sampling.top_k": 0,
    "policy.clip": 0.2,
    "policy.dual_clip": 3.0,
    "policy.aggregation": "token_mean",
    "policy.epochs": 1,
    "policy.advantage": "trajectory",
    "policy.entropy_coef": 0.001,
    "optimiser.learning_rate": 1e-6,
    "optimiser.weight_decay": 0.01,
    "optimiser.max_grad_norm": 1.0,
    "train.steps": 150,
}
"""What the benchmarks share. ``policy.advantage`` is the paper's formula, not the released code's."""

SAMPLING = {
    "evaluation.sampling.temperature": 0.4,
    "evaluation.sampling.top_p": 1.0,
    "evaluation.sampling.top_k": 0,
}
BENCHMARKS: dict[str, dict[str, Any]] = {
    "alfworld": {
        "environment.name": "alfworld",
        "environment.options.games": "official",
        "rollout.tasks": 16,
        "rollout.history": 2,
        "rollout.max_turns": 50,
        "rollout.max_prompt_tokens": 2048,
        "rollout.invalid_action_penalty": 0.1,
        "policy.kl_coef": 0.01,
        "optimiser.rows_per_update": 256,
        "optimiser.schedule": "constant",
        "optimiser.warmup_ratio": 0.0,
        "evaluation.split": "valid_seen",
        "evaluation.tasks": 128,
        "evaluation.every": 5,
        **SAMPLING,
    },
    "webshop": {
        "environment.name": "webshop",
        "environment.options.products": "official",
        "environment.options.goals": "synthetic",
        "rollout.tasks": 16,
        "rollout.history": 2,
        "rollout.max_turns": 15,
        "rollout.max_prompt_tokens": 4096,
        "rollout.invalid_action_penalty": 0.1,
        "policy.kl_coef": 0.01,
        "optimiser.rows_per_update": 64,
        "optimiser.schedule": "constant",
        "optimiser.warmup_ratio": 0.0,
        "evaluation.tasks": 128,
        "evaluation.every": 5,
        **SAMPLING,
    },
    "search-qa": {
        "environment.name": "search-qa",
        "environment.options.questions": "official",
        "environment.options.retriever": "http",
        "environment.options.urls": ["http://127.0.0.1:8000/retrieve"],
        "environment.options.dialect": "query",
        "environment.options.topk": 3,
        "environment.options.max_searches": 3,
        "rollout.tasks": 128,
        "rollout.history": 4,
        "rollout.max_turns": 4,
        "rollout.max_prompt_tokens": 4096,
        "rollout.invalid_action_penalty": 0.01,
        "policy.kl_coef": 0.001,
        "optimiser.rows_per_update": 256,
        "optimiser.schedule": "constant_with_warmup",
        "optimiser.warmup_ratio": 0.1,
        "evaluation.split": "test",
        "evaluation.tasks": 512,
        "evaluation.every": 150,
    },
}

OURS: dict[str, dict[str, Any]] = {
    "alfworld": {"environment.workers": 8, "environment.timeout": 120.0},
    "webshop": {"evaluation.split": "test"},
    "search-qa": {
        **SAMPLING,
        "environment.workers": 16,
        "environment.timeout": 900.0,
    },
}
"""What the released scripts do not say, or do in a way that we do not follow; marked ``ours`` in the bases."""

OURS_EVERYWHERE: dict[str, Any] = {
    "model.dtype": "bfloat16",
    "model.gradient_checkpointing": True,
    "model.lora": None,
    "skills.placement": "user",
    "optimiser.tokens_per_microbatch": 16384,
    "train.checkpoint_every": 10,
    "train.keep_checkpoints": 2,
    "evaluation.panel": None,
    "evaluation.panel_seed": 0,
    "warmup": None,
    "init_from": None,
    "engine.kind": "vllm",
    "engine.mode": "colocate",
    "engine.gpu_memory": 0.25,
}

MODELS = {
    "qwen2.5-3b": "Qwen/Qwen2.5-3B-Instruct",
    "qwen2.5-7b": "Qwen/Qwen2.5-7B-Instruct",
    "qwen3-1.7b": "Qwen/Qwen3-1.7B",
}
PAPER = [(f"{benchmark}-{model}", benchmark, model) for benchmark in BENCHMARKS for model in MODELS]
NAMES = [name for name, _, _ in PAPER]
each = pytest.mark.parametrize(("name", "benchmark", "model"), PAPER, ids=NAMES)


def load(name: str, *overrides: str, method: str | None = None) -> ResolvedRecipe:
    options = {} if method is None else {"method": ("--method", method)}
    return load_recipe(name, [], overrides, options, check_environment=False)


def values_of(resolved: ResolvedRecipe) -> dict[str, Any]:
    return dict(leaves(resolved.recipe.model_dump()))


@each
def test_values_are_the_released_ones(name: str, benchmark: str, model: str) -> None:
    values = values_of(load(name))
    expected = RELEASED | BENCHMARKS[benchmark] | OURS[benchmark] | OURS_EVERYWHERE
    expected |= {"model.path": MODELS[model], "model.tiny": None}
    assert {key: values[key] for key in expected} == expected
    assert {key for key in values if key.startswith("environment.options.")} <= set(expected)


@each
def test_values_are_written_down_and_not_left_to_defaults(name: str, benchmark: str, model: str) -> None:
    origins = load(name).origins
    stated = RELEASED | BENCHMARKS[benchmark] | OURS[benchmark] | {"model.path": None}
    assert [key for key in stated if origins[key] == DEFAULT] == []


@each
def test_only_qwen3_has_a_switch_for_thinking(name: str, benchmark: str, model: str) -> None:
    kwargs = load(name).recipe.model.template_kwargs
    assert kwargs == ({"enable_thinking": False} if model.startswith("qwen3") else {})


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_models_of_a_benchmark_differ_in_the_model_alone(benchmark: str) -> None:
    mine = ("name", "description", "model.path", "model.template_kwargs")
    rest = [
        {key: value for key, value in values_of(load(f"{benchmark}-{model}")).items() if not key.startswith(mine)}
        for model in MODELS
    ]
    assert rest[0] == rest[1] == rest[2]
    assert len({load(f"{benchmark}-{model}").recipe.description for model in MODELS}) == len(MODELS)


@each
def test_a_recipe_file_holds_the_model_and_nothing_else(name: str, benchmark: str, model: str) -> None:
    document = read_file(shipped_folder() / f"{name}.yaml").value
    assert document["extends"] == f"base/{benchmark}"
    assert set(document) == {"extends", "name", "description", "model"}
    assert set(document["model"]) <= {"path", "template_kwargs"}


@pytest.mark.parametrize("base", ["paper", *BENCHMARKS])
def test_every_value_of_a_base_is_released_or_marked_as_ours(base: str) -> None:
    """``paper`` holds common ground, which may be one benchmark's and overridden for another."""
    file = shipped_folder() / "base" / f"{base}.yaml"
    document, lines = read_file(file), file.read_text(encoding="utf-8").splitlines()
    table = [BENCHMARKS[base]] if base != "paper" else list(BENCHMARKS.values())
    checked = 0
    for key, value in leaves(document.value):
        if key in ("name", "extends"):
            continue
        checked += 1
        released = any(key in part and part[key] == value for part in (RELEASED, *table))
        marked = "# ours" in lines[document.lines[key] - 1]
        assert released != marked, f"{file.name}: {key}"
    assert checked >= 7


@each
def test_evaluates_before_while_and_after_training(name: str, benchmark: str, model: str) -> None:
    """The trainer evaluates the base and the end always; ``every`` adds the evaluations between."""
    recipe = load(name).recipe
    assert recipe.train.steps % recipe.evaluation.every == 0
    assert recipe.evaluation.tasks == (512 if benchmark == "search-qa" else 128)


@pytest.mark.parametrize("benchmark", BENCHMARKS)
@pytest.mark.parametrize("method", OBJECTIVES)
def test_every_method_runs_on_every_benchmark(benchmark: str, method: str) -> None:
    recipe = load(f"{benchmark}-qwen3-1.7b", method=method).recipe
    assert recipe.method == method
    assert recipe.rollout.max_turns == BENCHMARKS[benchmark]["rollout.max_turns"]
    assert recipe.policy.kl_coef == BENCHMARKS[benchmark]["policy.kl_coef"]


def test_no_search_is_given_up_while_it_is_still_tried() -> None:
    """The pool's clock for a step of Search-QA ends after the client's last try."""
    from sdar_envs.search_qa.client import FIRST_WAIT, LONGEST_WAIT

    section = load("search-qa-qwen2.5-3b").recipe.environment
    options = check_options(section)
    waits = sum(min(FIRST_WAIT * 2**n, LONGEST_WAIT) for n in range(options.tries - 1))
    assert section.timeout > options.tries * options.timeout + waits
    assert section.workers == options.connections


@pytest.mark.parametrize(
    ("benchmark", "episodes", "rows", "updates"),
    [("alfworld", 128, 6400, 25), ("webshop", 128, 1920, 30), ("search-qa", 1024, 4096, 16)],
)
def test_size_of_a_step(benchmark: str, episodes: int, rows: int, updates: int) -> None:
    parts = {part.name: part.amount for part in tokens_per_step(load(f"{benchmark}-qwen2.5-3b").recipe)}
    assert (parts["episodes"], parts["rows"], parts["optimiser updates"]) == (episodes, rows, updates)


DRY_RUNS = """
import contextlib, io, json, sys
from sdar_cli.cli.main import main

plans = {}
for name in sys.argv[1:]:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        code = main(["train", "--recipe", name, "--dry-run", "--json"])
    assert code == 0, (name, code)
    plans[name] = json.loads(out.getvalue())
heavy = {"torch", "transformers", "trl", "mlflow", "pandas", "textworld"} & set(sys.modules)
assert not heavy, heavy
print(json.dumps(plans))
"""


def test_a_dry_run_of_each_needs_no_data_and_loads_no_torch(tmp_path: Path) -> None:
    """One process for all nine, in which no data can be found."""
    environment = {key: value for key, value in os.environ.items() if not key.endswith("_DATA")}
    environment |= {"HOME": str(tmp_path), "SDAR_CACHE": str(tmp_path / "cache"), "CUDA_VISIBLE_DEVICES": ""}
    for name in ("SDAR_WEBSHOP", "SDAR_SEARCH_QA"):
        environment.pop(name, None)
    done = subprocess.run(
        [sys.executable, "-c", DRY_RUNS, *NAMES],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    plans = json.loads(done.stdout)
    assert list(plans) == NAMES
    for name, benchmark, _ in PAPER:
        plan = plans[name]
        assert plan["command"] == ["sdar", "train", "--recipe", name]
        assert plan["panel"]["digest"] is None and plan["panel"]["tasks"] == BENCHMARKS[benchmark]["evaluation.tasks"]
        assert "\n" not in plan["panel"]["problem"]
        assert "sdar data" in plan["panel"]["problem"] or "--data" in plan["panel"]["problem"]
        assert {part["name"] for part in plan["memory"]} >= {"weights", "optimiser", "reference model"}
    assert list(tmp_path.iterdir()) == [], "a dry run writes nothing"
