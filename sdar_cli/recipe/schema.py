"""A recipe, typed: every key of a YAML file, its default, and what it means.

Strict: an unknown key, a value of the wrong type or a combination that cannot work is refused at load.
Lengths are in tokens, learning rates per optimiser update, ``steps`` count rollouts.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Positive = Annotated[int, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class TinyModel(Section):
    """A Qwen3 of this shape, random-initialised, with a word tokenizer over the environment's vocabulary."""

    layers: Positive = 3
    width: Positive = 96
    heads: Positive = 4
    mlp: Positive = 256


class Lora(Section):
    rank: Positive = 32
    alpha: Positive = 64
    dropout: Fraction = 0.0
    targets: Literal["all-linear"] | list[str] = "all-linear"


class Model(Section):
    path: str | None = None
    """A Hugging Face folder or id."""
    tiny: TinyModel | None = None
    dtype: Literal["float32", "bfloat16"] = "float32"
    template_kwargs: dict[str, Any] = {}
    """Passed to the chat template (Qwen3: ``enable_thinking: false``)."""
    gradient_checkpointing: bool = False
    trust_remote_code: bool = False
    lora: Lora | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Model:
        if self.path is not None and self.tiny is not None:
            raise ValueError("model.path and model.tiny exclude each other: set one of them to null")
        return self


class EnvironmentSection(Section):
    name: str
    """A built-in name, an entry point's, or ``path/to/file.py:Class``."""
    options: dict[str, Any] = {}
    """Checked against the environment's own ``Options``."""
    workers: Positive = 2
    """Processes of the pool, for environments that need them."""
    timeout: Annotated[float, Field(gt=0)] = 120.0
    """Seconds after which a worker that does not answer is replaced."""


class Sampling(Section):
    temperature: Annotated[float, Field(gt=0)] = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    top_k: Annotated[int, Field(ge=0)] = 0
    """0: off."""


class Rollout(Section):
    context: Literal["window", "full"] = "window"
    history: Annotated[int, Field(ge=0)] = 2
    """Past turns shown in a windowed prompt."""
    tasks: Positive = 16
    """Groups per step."""
    group: Annotated[int, Field(ge=1)] = 8
    """Episodes per group."""
    max_turns: Positive = 50
    max_prompt_tokens: Positive = 2048
    """Window: a turn's prompt. Full: the whole conversation."""
    max_response_tokens: Positive = 512
    sampling: Sampling = Sampling()
    invalid_action_penalty: Annotated[float, Field(ge=0)] = 0.1
    """In advantage units, on the invalid turn's own tokens."""
    penalise: Literal["format", "inadmissible"] = "format"
    """What makes a turn invalid: unreadable tags only, or also a command that is not admissible."""


class Skills(Section):
    bank: str | None = None
    """A folder; null: the environment's own bank."""
    retrieval: Literal["task_type", "keyword", "full", "random", "none"] = "task_type"
    top_k: Positive = 3
    """Skills that ``keyword`` and ``random`` retrieve beside the general ones."""
    general: bool = True
    """Whether general skills go along."""
    placement: Literal["user", "system"] = "user"
    """In front of the first user message, or as the system message."""


class Teacher(Section):
    kind: Literal["live", "frozen"] = "live"
    """``live``: current weights at rollout time (the paper). ``frozen``: the weights RL starts from."""


class Distill(Section):
    coef: Annotated[float, Field(ge=0)] = 0.01
    """λ. At 0 no teacher runs."""


class Gate(Section):
    """g = σ(β·Δ). ``temperature`` is accepted for ``beta`` and stored as its inverse."""

    kind: Literal["gap", "none"] = "gap"
    beta: Annotated[float, Field(ge=0)] = 5.0

    @model_validator(mode="before")
    @classmethod
    def _temperature(cls, values: Any) -> Any:
        if isinstance(values, dict) and "temperature" in values:
            values = dict(values)
            temperature = values.pop("temperature")
            if "beta" in values:
                raise ValueError("gate.beta and gate.temperature are the same wish: set one of them")
            if isinstance(temperature, bool) or not isinstance(temperature, int | float) or temperature <= 0:
                raise ValueError(f"gate.temperature must be a number above 0, not {temperature!r}")
            values["beta"] = 1.0 / temperature
        return values


class Policy(Section):
    """The policy-gradient part: TRL's GRPO."""

    clip: Annotated[float, Field(gt=0)] = 0.2
    dual_clip: Annotated[float, Field(gt=1)] | None = 3.0
    """Upper bound of the ratio where the advantage is negative; null: none."""
    kl_coef: Annotated[float, Field(ge=0)] = 0.01
    """k3 KL to the reference policy."""
    entropy_coef: Annotated[float, Field(ge=0)] = 0.0
    advantage: Literal["trajectory", "turn"] = "trajectory"
    """Group statistics over trajectories (the paper's formula) or over turns (the released code)."""
    aggregation: Literal["token_mean"] = "token_mean"
    """The loss is a mean over all policy tokens of an update; the only form there is."""
    epochs: Literal[1] = 1
    """Passes over a rollout's rows; the only number there is."""


class Optimiser(Section):
    learning_rate: Annotated[float, Field(gt=0)] = 1e-6
    schedule: Literal["constant", "constant_with_warmup", "cosine"] = "constant"
    warmup_ratio: Fraction = 0.0
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    rows_per_update: Positive | None = None
    """Training rows in one optimiser update; null: the whole rollout is one update."""
    tokens_per_microbatch: Positive = 16384
    """Padded tokens in one forward and backward pass."""


class Train(Section):
    steps: Positive = 150
    checkpoint_every: Positive = 25
    keep_checkpoints: Positive = 2


class Evaluation(Section):
    split: str = "test"
    tasks: Positive = 128
    """Size of the panel; each task is visited once."""
    panel: str | None = None
    """A panel file; null: drawn from ``split`` by ``panel_seed``."""
    panel_seed: Seed = 0
    every: Annotated[int, Field(ge=0)] = 0
    """Steps between evaluations without skills while training; 0: none between base and end."""
    sampling: Sampling = Sampling(temperature=0.4)


class Warmup(Section):
    """Supervised warm-up on expert demonstrations with skills in the prompt (TRL's SFTTrainer)."""

    demonstrations: Positive = 2000
    """Episodes of the expert."""
    epochs: Annotated[float, Field(gt=0)] = 1.0
    batch: Positive = 64
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    skills_share: Fraction = 1.0
    """Share of demonstrations with skills in the prompt; the others show none."""
    shuffle_rulebooks: bool = True
    """Household: a rulebook of its own for every demonstration, none of them the run's."""
    required_success: Fraction = 0.9
    """Success with skills that must be reached before RL starts."""
    seed: Seed | None = None
    """null: the recipe's seed."""


class Engine(Section):
    """What generates: Hugging Face ``generate`` in the training process, or vLLM."""

    kind: Literal["hf", "vllm"] = "hf"
    mode: Literal["colocate", "server"] = "colocate"
    server_url: str | None = None
    gpu_memory: Fraction = 0.5
    """Share of GPU memory for vLLM in colocate mode."""
    max_batch: Positive = 512
    """Prompts in one ``generate`` call of the hf engine."""
    threads: Positive | None = None
    """CPU threads of torch; null: its own choice. A tiny model is many times faster on one."""


class Tracking(Section):
    uri: str | None = None
    """MLflow tracking URI; null: ``MLFLOW_TRACKING_URI``, else a SQLite store under the runs folder."""
    experiment: str | None = None
    """null: the recipe's name."""
    traces: Annotated[int, Field(ge=0)] = 4
    """Episodes traced per evaluation and per traced training step."""
    trace_every: Positive = 25
    system_metrics: bool = True


class Recipe(Section):
    name: str
    description: str = ""
    seed: Seed = 0
    method: Literal["sdar", "grpo"] = "sdar"
    """``grpo``: no distillation term, no teacher, whatever ``distill.coef`` says at its default."""
    init_from: str | None = None
    """A run or a Hugging Face folder whose weights RL starts from; then no warm-up runs."""
    model: Model = Model()
    environment: EnvironmentSection
    rollout: Rollout = Rollout()
    skills: Skills = Skills()
    teacher: Teacher = Teacher()
    distill: Distill = Distill()
    gate: Gate = Gate()
    policy: Policy = Policy()
    optimiser: Optimiser = Optimiser()
    train: Train = Train()
    evaluation: Evaluation = Evaluation()
    warmup: Warmup | None = None
    engine: Engine = Engine()
    tracking: Tracking = Tracking()

    @property
    def needs_teacher(self) -> bool:
        return self.method == "sdar" and self.distill.coef > 0

    @model_validator(mode="after")
    def _combinations(self) -> Recipe:
        if self.model.path is None and self.model.tiny is None and self.init_from is None:
            raise ValueError("no model: set model.path, model.tiny or init_from")
        if self.needs_teacher and self.skills.retrieval == "none":
            raise ValueError(
                "a teacher without skills teaches nothing: set skills.retrieval to another value, or method=grpo"
            )
        if self.init_from is not None and self.warmup is not None:
            raise ValueError("init_from brings its own weights: set warmup=null")
        if self.model.tiny is not None and self.warmup is None and self.init_from is None:
            raise ValueError("a random model cannot act: give a warmup section, or init_from")
        if self.engine.mode == "server" and self.engine.kind == "vllm" and self.engine.server_url is None:
            raise ValueError("engine.mode=server needs engine.server_url, for example http://127.0.0.1:8000")
        return self
