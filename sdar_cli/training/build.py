"""From a recipe and a base to a trainer that is ready to train and to be evaluated."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from transformers import PrinterCallback, ProgressCallback

from sdar_cli.engines.make import check_engine, head_size
from sdar_cli.errors import ModelError, SdarError, UserError
from sdar_cli.evaluation.result import Evaluation, Mode
from sdar_cli.evaluation.transcripts import Witness
from sdar_cli.launch.place import Place
from sdar_cli.models.load import add_lora, check_vocabulary, load_model, load_tokenizer
from sdar_cli.models.quantised import Quantised
from sdar_cli.objectives.registry import OBJECTIVES
from sdar_cli.paths import user_path
from sdar_cli.recipe.schema import Recipe
from sdar_cli.rollout.episode import Episode
from sdar_cli.rollout.replay import RecordingLoop, ReplayLoop, append_rollout
from sdar_cli.stop import STOP
from sdar_cli.training import ranks
from sdar_cli.training.checkpoints.resumable import check_trainer_state, read_state, written_by
from sdar_cli.training.evaluate_every import EvaluateEvery
from sdar_cli.training.events import Listener
from sdar_cli.training.failure import NotFinite, save_failure
from sdar_cli.training.oom import as_sentence
from sdar_cli.training.preempt import StepDropped
from sdar_cli.training.schedule import TaskSchedule
from sdar_cli.training.sharded import whole_weights
from sdar_cli.training.trainer import SDARTrainer
from sdar_cli.training.transcript_scores import TokenScorer, transcribe_evaluation

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from sdar_cli.evaluation.evaluator import Evaluator
    from sdar_cli.rollout.loop import RolloutLoop
    from sdar_cli.runs.store import Checkpoint, RunFolder
    from sdar_cli.workshop import Workshop


@dataclass(slots=True)
class Built:
    """A trainer with its tokenizer; evaluates the weights as they are now."""

    trainer: SDARTrainer
    tokenizer: PreTrainedTokenizerBase
    workshop: Workshop
    run: RunFolder
    listener: Listener

    def train(self, checkpoint: Checkpoint | None, evaluator: Evaluator) -> bool:
        """Train to the end; True when it was asked to stop, and what there was is saved.

        Raises:
            RunFailed: a step failed; what was before it is saved as well, where that is known to be sound.
        """
        if checkpoint is not None:
            self._load_state(checkpoint)
        preemption = self.trainer.preemption
        with preemption.training():
            if self.trainer.recipe.evaluation.every:
                self.trainer.add_callback(EvaluateEvery(self, evaluator))
            try:
                with _quiet(), as_sentence():
                    self.trainer.train(resume_from_checkpoint=str(checkpoint.path) if checkpoint else None)
            except StepDropped as dropped:
                preemption.dropped(dropped)
                self._save_begin()
            except NotFinite as error:
                self._save_failure(error)
            except SdarError as error:
                if preemption.failure is not None:  # of which no checkpoint could be written
                    raise preemption.failure from error
                if not (preemption.droppable and ranks.is_shared(error)):
                    raise
                leaving = preemption.leaves()
                with nullcontext() if leaving else suppress(SdarError):
                    self._save_begin()
                if not leaving:
                    raise
            if preemption.failure is not None and not preemption.stopped:
                raise preemption.failure
        return preemption.stopped

    def evaluate(
        self, evaluator: Evaluator, mode: Mode, *, label: str, listener: Listener, transcribe: bool = False
    ) -> tuple[Evaluation, list[Episode]]:
        """Play the panel with the current weights, by the engine that training uses.

        With ``transcribe`` the first episodes are kept word for word (``evaluation.transcripts``).
        """
        listener.phase(f"{label} {'with' if mode == 'skills' else 'without'} skills", len(evaluator.panel))
        step = self.trainer.state.global_step
        kept = self.workshop.recipe.evaluation.transcripts if transcribe else 0
        witness = Witness.of(evaluator.panel.task_ids, kept)
        about = {
            "label": label,
            "checkpoint": f"step-{step}" if step else "base",
            "step": step,
            "run": self.run.name,
            "on_turn": self._turn_of(listener),
            "witness": witness,
        }
        played = self._play(evaluator, mode, about)
        if witness is not None:
            scorer = TokenScorer.of_trainer(self.trainer)
            rest = witness, scorer, self.tokenizer, self.workshop.bank, listener
            with whole_weights(self.trainer):
                ranks.from_main(lambda: transcribe_evaluation(self.run, *played, *rest))
        return played

    def _turn_of(self, listener: Listener) -> Callable[[int, int], None]:
        def on_turn(done: int, total: int) -> None:
            listener.advance(done, total)
            self.trainer.preemption.check()
            STOP.check()

        STOP.check()
        return on_turn

    def _play(self, evaluator: Evaluator, mode: Mode, about: dict[str, Any]) -> tuple[Evaluation, list[Episode]]:
        if self.trainer.engine is not None:
            evaluation = self.workshop.recipe.evaluation
            with self.trainer.sampling(evaluation.sampling, evaluation.panel_seed) as policy:
                ends = set(self.trainer.eos_token_ids)
                return evaluator.play(policy, self.tokenizer, ends, mode, engine=policy.name, **about)
        model = self.trainer.accelerator.unwrap_model(self.trainer.model)
        with whole_weights(self.trainer):
            return evaluator.play_model(model, self.tokenizer, mode, **about)

    def _save_begin(self) -> None:
        """A checkpoint of the step's begin, unless there is one, or none is needed: the base is where all began."""
        trainer = self.trainer
        trainer.preemption.restore()
        step = trainer.state.global_step
        if step and not ranks.from_main(lambda: step in [kept.step for kept in self.run.checkpoints()]):
            with _quiet():
                trainer._save_checkpoint(trainer.model_wrapped, None)

    def _save_failure(self, error: NotFinite) -> NoReturn:
        episodes = [episode for own in ranks.gather(self.trainer.rollout) for episode in own]
        save_failure(
            self.run.path,
            step=error.step,
            term=error.term,
            rows_file_writer=(lambda path: append_rollout(path, 0, episodes)) if episodes else None,
            save_model=lambda folder: self.trainer.save_model(str(folder)),
            inputs=self.trainer.inputs if error.here else None,
        )

    def _load_state(self, checkpoint: Checkpoint) -> None:
        folder = checkpoint.path
        check_trainer_state(checkpoint)
        state = read_state(folder)
        self.workshop.retriever.load_state(state.get("retriever", {}))
        self.trainer.memory.load_state(state.get("memory", {}))
        if self.trainer.average is not None:
            self.trainer.average.load(folder)


def build_trainer(workshop: Workshop, base: str, run: RunFolder, listener: Listener) -> Built:
    """Load the base and make the trainer.

    Raises:
        ModelError: weights or tokenizer cannot be used, or sequences would not fit the model.
        RecipeError: the engine that the recipe names is not installed.
    """
    check_devices()
    recipe = workshop.recipe
    trust = recipe.model.trust_remote_code
    tokenizer = load_tokenizer(base, trust_remote_code=trust)
    model = load_model(base, trust_remote_code=trust, quantised=Quantised.asked(recipe.model))
    check_vocabulary(model, tokenizer)
    longest = longest_sequence(recipe, workshop, tokenizer)
    check_positions(model, longest, base)
    check_engine(recipe, head_size(model.config))
    if recipe.model.lora is not None:
        model = add_lora(model, recipe.model.lora, recipe.seed)
    frozen = frozen_copy(recipe, base)
    with _quiet():
        trainer = SDARTrainer(
            recipe=recipe,
            model=model,
            tokenizer=tokenizer,
            make_loop=lambda made: training_loop(workshop, made, tokenizer),
            schedule=TaskSchedule(workshop.environment.tasks("train"), recipe.rollout.tasks, recipe.seed),
            output=run.path / "checkpoints",
            max_model_tokens=longest,
            listener=listener,
            frozen=frozen,
            checkpoint=lambda step: ranks.on_main(run.saving_checkpoint(step)),
            checkpoint_state=lambda: {
                "retriever": workshop.retriever.state(),
                "memory": trainer.memory.state(),
                **written_by(),
            },
        )
    for printer in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(printer)
    return Built(trainer, tokenizer, workshop, run, listener)


def training_loop(
    workshop: Workshop, trainer: SDARTrainer, tokenizer: PreTrainedTokenizerBase
) -> RolloutLoop | ReplayLoop | RecordingLoop:
    """What plays a step's episodes: the policy in its environment, or a recording (``rollout.replay``)."""
    rollout = workshop.recipe.rollout

    def step() -> int:
        return trainer.state.global_step

    if rollout.replay is not None:
        teacher = workshop.recipe.needs_teacher
        tokens = max(len(tokenizer), getattr(trainer.model.config, "vocab_size", 0))
        path = user_path(rollout.replay)
        return ReplayLoop(path, workshop.retriever, step, teacher=teacher, vocabulary=tokens)
    loop = workshop.loop(trainer.engine or trainer, tokenizer, set(trainer.eos_token_ids), workshop.context(tokenizer))
    loop.on_turn = lambda done, total: trainer.preemption.check()
    if rollout.record is None:
        return loop
    path = user_path(rollout.record)

    def keep(episodes: list[Episode]) -> None:
        everyone = [episode for own in ranks.gather(episodes) for episode in own]
        ranks.from_main(lambda: append_rollout(path, step(), everyone))

    return RecordingLoop(loop, keep)


def longest_sequence(recipe: Recipe, workshop: Workshop, tokenizer: PreTrainedTokenizerBase) -> int:
    """Tokens of the longest sequence that a recipe may make: prompt, the largest skills block, response."""
    from sdar_cli.skills.block import render_block
    from sdar_cli.skills.retrieval import Retrieval

    block = render_block(Retrieval(tuple(workshop.bank.skills)))
    skills = len(tokenizer(block, add_special_tokens=False)["input_ids"])
    return recipe.rollout.max_prompt_tokens + skills + recipe.rollout.max_response_tokens


def check_devices() -> None:
    """A process of a run uses one device.

    Raises:
        UserError: there are fewer GPUs than processes, or several for the only process.
    """
    import torch

    place, gpus = Place.here(), torch.cuda.device_count()
    if place.launched and 0 < gpus <= place.local_rank:
        raise UserError(
            f"process {place.local_rank} of this machine has no GPU, as {gpus} are visible: start at most {gpus}"
        )
    if gpus > 1 and ranks.world() == 1:
        raise UserError(f"{gpus} GPUs are visible to a run of one process: choose one, CUDA_VISIBLE_DEVICES=0")


def check_positions(model: PreTrainedModel, longest: int, base: str) -> None:
    positions = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if positions is not None and longest > positions:
        raise ModelError(
            f"a prompt with skills and a response may take {longest} tokens, but the model {base!r} has {positions} "
            "positions: lower rollout.max_prompt_tokens or rollout.max_response_tokens"
        )


def frozen_copy(recipe: Recipe, base: str) -> PreTrainedModel | None:
    """A second copy of the base for a frozen teacher or a KL in the reward, only where neither TRL's reference
    nor an adapter serves."""
    objective = OBJECTIVES[recipe.method]
    penalised = objective.kl_in_reward and recipe.policy.kl_coef > 0
    taught = recipe.needs_teacher and recipe.teacher.kind == "frozen"
    trl_has_one = recipe.policy.kl_coef > 0 and not objective.kl_in_reward
    if not (penalised or taught) or trl_has_one or recipe.model.lora is not None:
        return None
    return load_model(base, trust_remote_code=recipe.model.trust_remote_code)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the libraries' chatter (advice on arguments, deprecations of their own) off the user's terminal."""
    names = ("transformers", "accelerate", "trl", "torch.distributed")
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
