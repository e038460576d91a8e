"""A recipe, typed: every key of a YAML file, its default, and what it means.

Strict: an unknown key, a value of the wrong type or a combination that cannot work is refused at load.
Lengths are in tokens, learning rates per optimiser update, ``steps`` count rollouts.
"""

from __future__ import annotations

from math import isfinite, lcm
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, model_validator

from sdar_cli.errors import without_credentials
from sdar_cli.objectives.gates import GATES
from sdar_cli.objectives.registry import OBJECTIVES
from sdar_cli.objectives.settings import Settings
from sdar_cli.skills.retrieval import RETRIEVERS

LARGEST = 10**9
"""Of all counts: more than any run needs, and less than any loop or library chokes on."""
Positive = Annotated[int, Field(gt=0, le=LARGEST)]
Count = Annotated[int, Field(ge=0, le=LARGEST)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


def _plain(values: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
    """Values of someone else's keys, with numbers that every reader of the recipe can hold."""
    waiting: list[Any] = [values]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict | list):
            waiting += value.values() if isinstance(value, dict) else value
        elif (isinstance(value, float) and not isfinite(value)) or (isinstance(value, int) and abs(value) >= 2**63):
            raise ValueError(f"{info.field_name} holds {value}, which no computer counts with: give a smaller number")
    return values


Plain = Annotated[dict[str, Any], AfterValidator(_plain)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Schedule(Section):
    """From the value beside it, at step 0, to ``to`` at step ``steps``, and constant from there."""

    to: Annotated[float, Field(ge=0)]
    steps: Positive
    shape: Literal["linear", "cosine"] = "linear"


class TinyModel(Section):
    """A Qwen3 of this shape, random-initialised, with a word tokenizer over the environment's vocabulary."""

    layers: Positive = 3
    width: Positive = 96
    heads: Positive = 4
    mlp: Positive = 256


class Lora(Section):
    """An adapter (PEFT's) over frozen weights."""

    rank: Positive = 32
    alpha: Positive = 64
    """B·A is multiplied by alpha / rank; with ``rslora`` by alpha / √rank."""
    dropout: Fraction = 0.0
    """In the warm-up; RL runs without, as its log-probs must be those of the policy that sampled."""
    targets: Literal["all-linear"] | list[str] = "all-linear"
    """Names of modules, or all linear layers but the head."""
    rslora: bool = False
    dora: bool = False
    """Train each output's magnitude beside its direction."""
    quantise: Literal["nf4"] | None = None
    """Hold the weights under the adapter in four bits (QLoRA); needs bitsandbytes."""

    @model_validator(mode="after")
    def _not_the_head(self) -> Lora:
        if "lm_head" in self.targets:
            raise ValueError(
                "model.lora.targets names lm_head, whose adapter would never be trained, as log-probs are computed "
                "from the head's own weights: remove it"
            )
        return self


class Model(Section):
    path: str | None = None
    """A Hugging Face folder or id."""
    tiny: TinyModel | None = None
    dtype: Literal["float32", "bfloat16"] = "float32"
    template_kwargs: Plain = {}
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
    options: Plain = {}
    """Checked against the environment's own ``Options``."""
    workers: Positive = 2
    """Processes of the pool, for environments that need them."""
    timeout: Annotated[float, Field(gt=0)] = 120.0
    """Seconds after which a worker that does not answer is replaced."""
    worker_memory: Annotated[float, Field(gt=0)] | None = None
    """GiB that a worker process may hold. It is renewed between episodes when it holds three quarters of them, and
    ended within one when it holds more. null: not watched."""


class Sampling(Section):
    temperature: Annotated[float, Field(gt=0)] = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    top_k: Count = 0
    """0: off."""


class Rollout(Section):
    context: Literal["window", "full"] = "window"
    history: Count = 2
    """Past turns shown in a windowed prompt."""
    tasks: Positive = 16
    """Groups per step."""
    group: Positive = 8
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
    record: str | None = None
    """A file: every training rollout is appended to it, for ``replay``."""
    replay: str | None = None
    """A recorded file: its episodes are trained on, step by step, and nothing is generated."""


class Ucb(Section):
    """score = alpha·similarity + (1 − alpha)·(utility + kappa·√(ln(1 + N) / (1 + n)))."""

    alpha: Fraction = 0.6
    kappa: Annotated[float, Field(ge=0)] = 1.0
    rate: Fraction = 0.3
    """Of the moving average by which a utility follows the groups' success."""


class Skills(Section):
    bank: str | None = None
    """A folder; null: the environment's own bank."""
    retrieval: Literal[tuple(RETRIEVERS)] = "task_type"
    top_k: Positive = 3
    """Skills that ``keyword``, ``random`` and ``ucb`` retrieve beside the general ones."""
    ucb: Ucb = Ucb()
    corrupt: Fraction = 0.0
    """Share of the retrieved task skills that training replaces by skills of other tasks (a robustness
    study); evaluations and the warm-up see the right ones."""
    general: bool = True
    """Whether general skills go along."""
    placement: Literal["user", "system"] = "user"
    """In front of the first user message, or as the system message."""


class Teacher(Section):
    kind: Literal["live", "frozen", "ema"] = "live"
    """``live``: current weights at rollout time (the paper). ``frozen``: the weights RL starts from.
    ``ema``: a moving average of the weights."""
    ema_decay: Fraction = 0.99
    """What the average keeps of itself at every optimiser update."""


class Distill(Section):
    """The distillation term, for the methods that have one."""

    coef: Annotated[float, Field(ge=0)] = 0.01
    """λ. At 0 no teacher runs."""
    schedule: Schedule | None = None
    form: Literal["gated", "uniform", "signed"] | None = None
    """``gated``: weight g; ``uniform``: weight ½ (β = 0); ``signed``: −λ·sg(Δ)·logp_S. null: the method's own."""
    divergence: Literal["sampled", "reverse", "forward", "jsd"] = "sampled"
    """On the sampled token, or over the whole vocabulary at its position."""


class Gate(Section):
    """How much of the distillation term a token receives. ``temperature`` is accepted for ``beta`` and stored
    as its inverse."""

    kind: Literal[tuple(GATES)] = "gap"
    beta: Annotated[float, Field(ge=0)] = 5.0
    schedule: Schedule | None = None
    """Of ``beta``."""
    detach: bool = True
    """Whether the gradient stops at the gate; false is the paper's ablation."""
    normalise: Literal["none", "zscore", "turn_mean"] = "none"
    """The gap that the gate sees: as it is, standardised over the rollout, or less its own turn's mean."""

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


class Credit(Section):
    """How a teacher redistributes the advantage, for the methods that do so (``rlsd``, ``agent_opsd``)."""

    mu: Fraction = 0.5
    """μ: share of the advantage that is redistributed. At 0 no teacher runs."""
    schedule: Schedule | None = None
    clip: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Most that a weight may differ from 1."""
    gamma: Fraction = 0.95
    """How much of the evidence of earlier turns lasts (``agent_opsd``)."""

    @model_validator(mode="after")
    def _schedule_stays_a_share(self) -> Credit:
        if self.schedule is not None and self.schedule.to > 1:
            raise ValueError(f"credit.schedule.to={self.schedule.to} is no share: set a number of at most 1")
        return self


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

    @model_validator(mode="after")
    def _dual_clip_is_the_wider(self) -> Policy:
        if self.dual_clip is not None and self.dual_clip <= 1 + self.clip:
            raise ValueError(
                f"policy.dual_clip={self.dual_clip} would clip good tokens too, within policy.clip={self.clip}: set it "
                f"above {1 + self.clip:g}, or to null"
            )
        return self


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
    """The newest so many are kept."""
    keep_best: Annotated[int, Field(ge=0)] = 0
    """Kept besides: so many with the highest success without skills, by the evaluations at their very steps
    (``evaluation.every``); of equal ones the earlier."""


class Evaluation(Section):
    split: str = "test"
    tasks: Positive = 128
    """Size of the panel; each task is visited once."""
    panel: str | None = None
    """A panel file; null: drawn from ``split`` by ``panel_seed``."""
    panel_seed: Seed = 0
    every: Count = 0
    """Steps between evaluations without skills while training; 0: none between base and end."""
    transcripts: Count = 16
    """Tasks of the panel, the first ones, whose episodes are kept word for word, each response token with the
    teacher's gap and the gate; 0: none. Of the base and of the end, not of evaluations between."""
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


class Guards(Section):
    """When training has gone wrong. Each finding is a warning and a tag in MLflow; null switches one off."""

    stop_on_collapse: bool = False
    """End the run at the first collapse: success at zero, KL or entropy out of range."""
    zero_success: Positive | None = 3
    """Evaluations without a solved task, after one that solved some."""
    kl: Annotated[float, Field(gt=0)] | None = 10.0
    """Highest KL to the reference, in nats a token."""
    entropy: Annotated[list[float], Field(min_length=2, max_length=2)] | None = [1e-4, 8.0]
    """Range of the policy's entropy, in nats a token: lowest, highest."""
    saturated_gate: Fraction | None = 0.99
    """Share of gates below 0.01 or above 0.99 from which the gate no longer selects."""
    task_skills: Fraction | None = 0.9
    """Least share of teacher prompts with a skill for the task."""
    zero_variance: Fraction | None = 0.95
    """Share of groups without reward variance from which there is no policy gradient."""
    lost_episodes: Fraction | None = 0.5
    """Share of a step's episodes that the environment lost. Where it lost all of them the run ends."""
    patience: Positive = 5
    """Steps in a row before a step's measure counts."""

    @model_validator(mode="after")
    def _entropy_is_a_range(self) -> Guards:
        if self.entropy is not None and not self.entropy[0] < self.entropy[1]:
            raise ValueError(f"guards.entropy={self.entropy} is no range: give the lower bound first")
        return self


class Engine(Section):
    """What generates: Hugging Face ``generate`` in the training process, or vLLM."""

    kind: Literal["hf", "vllm"] = "hf"
    mode: Literal["colocate", "server"] = "colocate"
    """vLLM in the training process, or behind ``server_url``."""
    server_url: str | list[str] | None = None
    """Of `vllm serve`, started as docs/vllm.md says; several share the prompts."""
    sync: Literal["auto", "nccl", "folder"] = "auto"
    """How weights get to a server. ``auto``: by NCCL where both sides can, else through ``sync_folder``."""
    sync_folder: str | None = None
    """A folder that the servers see under the same path; null: ``engine`` in the run's folder."""
    proof: bool = True
    """Compare the engine's weights with the policy's after every sync, and stop the run where they differ."""
    lora: Literal["merge", "hot"] = "merge"
    """An adapter goes to vLLM merged into the weights, or by itself."""
    patience: Annotated[float, Field(gt=0)] = 300.0
    """Seconds to wait for a server that does not answer."""
    request_timeout: Annotated[float, Field(gt=0)] = 600.0
    """Seconds that a server may take for one whole answer, before it counts as gone."""
    gpu_memory: Fraction = 0.5
    """Share of GPU memory for vLLM in colocate mode."""
    max_batch: Positive = 512
    """Prompts in one ``generate`` call of the hf engine."""
    threads: Positive | None = None
    """CPU threads of torch; null: its own choice. A tiny model is many times faster on one."""

    @property
    def urls(self) -> tuple[str, ...]:
        if self.server_url is None:
            return ()
        return (self.server_url,) if isinstance(self.server_url, str) else tuple(self.server_url)

    @model_validator(mode="after")
    def _urls_are_urls(self) -> Engine:
        for url in self.urls:
            if not _is_url(url):
                raise ValueError(f"engine.server_url={url} is no URL: give one such as http://127.0.0.1:8000")
            if "@" in url:
                raise ValueError(
                    "engine.server_url holds a user or password, which every copy of the recipe would show: leave it "
                    "out, and put the server's key into VLLM_API_KEY"
                )
        return self


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


NO_SECRETS = (
    "holds a user, password or token, which every copy of the recipe would show: leave it out, and put it into "
    "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN (of a database, set "
    "MLFLOW_TRACKING_URI to the whole URI instead)"
)
"""End of the sentence about such a tracking URI."""


class Tracking(Section):
    uri: str | None = None
    """MLflow tracking URI; null: ``MLFLOW_TRACKING_URI``, else a SQLite store under the runs folder."""
    spool: Annotated[float, Field(gt=0)] = 1.0
    """GiB that may wait on disk for a store that is away; above that the oldest traces go, and nothing else does."""
    experiment: str | None = None
    """null: the recipe's name."""
    traces: Count = 4
    """Episodes traced per evaluation and per traced training step."""
    trace_every: Positive = 25
    system_metrics: bool = True
    group: str | None = None
    """A name that runs share, to be found and compared together (``sdar compare --group``)."""
    note: str = ""
    """Shown with the run in MLflow."""
    tags: dict[Annotated[str, Field(pattern=r"^[A-Za-z][\w./-]{0,99}$")], str] = {}
    """Tags of the MLflow run, beside those under ``sdar.`` that it always has."""
    registered_model: str | None = None
    """The model in MLflow's registry that the last checkpoint becomes a version of; null: named like the experiment;
    "": none."""
    parent: str | None = None
    """An MLflow run id below which the run is shown; a sweep sets it."""

    @model_validator(mode="after")
    def _uri_tells_nothing(self) -> Tracking:
        if self.uri is not None and without_credentials(self.uri, alone=True) != self.uri:
            raise ValueError(f"tracking.uri {NO_SECRETS}")
        return self


class Recipe(Section):
    name: str
    description: str = ""
    seed: Seed = 0
    method: Literal[tuple(OBJECTIVES)] = "sdar"
    """An objective: see docs/method.md, or `sdar methods`."""
    init_from: str | None = None
    """A run or a Hugging Face folder whose weights RL starts from; then no warm-up runs."""
    model: Model = Model()
    environment: EnvironmentSection
    rollout: Rollout = Rollout()
    skills: Skills = Skills()
    teacher: Teacher = Teacher()
    distill: Distill = Distill()
    gate: Gate = Gate()
    credit: Credit = Credit()
    policy: Policy = Policy()
    optimiser: Optimiser = Optimiser()
    train: Train = Train()
    evaluation: Evaluation = Evaluation()
    warmup: Warmup | None = None
    guards: Guards = Guards()
    engine: Engine = Engine()
    tracking: Tracking = Tracking()

    @property
    def needs_teacher(self) -> bool:
        """Whether a teacher has an effect at any step of the run."""
        objective, last = OBJECTIVES[self.method], max(self.train.steps - 1, 0)
        return any(objective.teaches(Settings.at(self, step)) for step in (0, last))

    @model_validator(mode="after")
    def _combinations(self) -> Recipe:
        if self.model.path is None and self.model.tiny is None and self.init_from is None:
            raise ValueError("no model: set model.path, model.tiny or init_from")
        self._check_objective()
        if self.init_from is not None and self.warmup is not None:
            raise ValueError("init_from brings its own weights: set warmup=null")
        if self.model.tiny is not None and self.warmup is None and self.init_from is None:
            raise ValueError("a random model cannot act: give a warmup section, or init_from")
        if self.engine.mode == "server" and self.engine.kind == "vllm" and not self.engine.urls:
            raise ValueError("engine.mode=server needs engine.server_url, for example http://127.0.0.1:8000")
        if self.engine.lora == "hot" and self.model.lora is None:
            raise ValueError(
                "engine.lora=hot is about an adapter and there is none: set model.lora, or engine.lora=merge"
            )
        if self.engine.lora == "hot" and self.engine.sync == "nccl":
            raise ValueError(
                "engine.sync=nccl brings no adapter, which engine.lora=hot sends through the folder: set engine.sync "
                "to folder, or engine.lora to merge"
            )
        self._check_lora()
        self._check_best()
        return self

    def _check_lora(self) -> None:
        """Raises ValueError for an adapter that the rest of the recipe cannot have."""
        lora = self.model.lora
        if lora is None:
            return
        if lora.dropout and self.warmup is None:
            raise ValueError(
                "model.lora.dropout is for the warm-up and there is none, RL being run without dropout: remove it"
            )
        if lora.dora and self.engine.lora == "hot":
            raise ValueError("engine.lora=hot cannot serve model.lora.dora, which vLLM does not know: set it to merge")

    def _check_best(self) -> None:
        """Raises ValueError where no checkpoint but the last would be measured."""
        train, every = self.train, self.evaluation.every
        if train.keep_best and not every:
            raise ValueError("train.keep_best tells the best by evaluations on the way: set evaluation.every")
        saved = train.checkpoint_every
        if train.keep_best and lcm(every, saved) >= train.steps:
            remedy = f"set evaluation.every={saved}" if saved < train.steps else "lower train.checkpoint_every"
            raise ValueError(
                f"train.keep_best has nothing to choose among, as evaluation.every={every} and "
                f"train.checkpoint_every={saved} meet at no step before the last, {train.steps}: {remedy}"
            )

    def _check_objective(self) -> None:
        """Raises ValueError for settings that cannot go together."""
        objective, form = OBJECTIVES[self.method], self.distill.form
        reads_skills = self.needs_teacher or objective.skills_in_prompt
        if reads_skills and self.skills.retrieval == "none":
            what = "a policy that trains with skills" if objective.skills_in_prompt else "a teacher"
            raise ValueError(
                f"{what} has nothing to read with skills.retrieval=none: choose another retrieval, or method=grpo"
            )
        if objective.forms and form is not None and form not in objective.forms:
            owners = [name for name, other in OBJECTIVES.items() if form in other.forms]
            raise ValueError(
                f"distill.form={form} does not go with method={self.method}, which is {' or '.join(objective.forms)}: "
                f"remove it, or choose method={' or '.join(owners)}"
            )
        if self.policy.advantage == "turn" and "policy.advantage" not in objective.settings and objective.policy:
            raise ValueError(
                f"policy.advantage=turn does not go with method={self.method}, which has a rule of its own: "
                "set policy.advantage=trajectory"
            )
        if objective.forms and self.distill.divergence != "sampled":
            if form == "signed":
                raise ValueError(
                    "distill.form=signed is about the sampled token and distill.divergence="
                    f"{self.distill.divergence} is not: set distill.divergence=sampled, or another form"
                )
            if self.gate.normalise == "zscore" and (form or objective.forms[0]) == "gated":
                raise ValueError(
                    f"gate.normalise=zscore needs the whole rollout's gaps before the loss, and distill.divergence="
                    f"{self.distill.divergence} scores the teacher within it: set gate.normalise=turn_mean or none"
                )
        if self.rollout.record is not None and self.rollout.replay is not None:
            raise ValueError("a replay needs no recording: remove rollout.record or rollout.replay")
