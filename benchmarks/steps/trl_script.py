"""TRL's side of the comparison, as a user of TRL writes it; also a script that ends after its first step.

python benchmarks/steps/trl_script.py MODEL OUTPUT MARK
"""

from __future__ import annotations

import sys
from pathlib import Path


def arguments(recipe, output: Path, *, steps: int | None = None, report: str = "none"):
    """TRL's configuration with the recipe's numbers."""
    from trl import GRPOConfig

    rollout, sampling = recipe.rollout, recipe.rollout.sampling
    return GRPOConfig(
        output_dir=str(output),
        seed=recipe.seed,
        max_steps=steps or recipe.train.steps,
        per_device_train_batch_size=rollout.tasks * rollout.group,
        num_generations=rollout.group,
        steps_per_generation=1,
        gradient_accumulation_steps=1,
        max_completion_length=rollout.max_response_tokens,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        beta=recipe.policy.kl_coef,
        epsilon=recipe.policy.clip,
        delta=recipe.policy.dual_clip,
        learning_rate=recipe.optimiser.learning_rate,
        lr_scheduler_type=recipe.optimiser.schedule,
        weight_decay=recipe.optimiser.weight_decay,
        max_grad_norm=recipe.optimiser.max_grad_norm,
        bf16=False,
        gradient_checkpointing=False,
        disable_dropout=True,
        shuffle_dataset=False,
        save_strategy="no",
        logging_steps=1,
        report_to=report,
        disable_tqdm=True,
        use_cpu=True,
    )


def prompts(recipe, environment):
    """A row a task: the chat prompt of its first turn, and which task it is."""
    from datasets import Dataset

    from sdar_envs.base import History

    slot, rows = type(environment)(environment.options), []
    for number, task in enumerate(tasks_of(recipe, environment)):
        first = slot.reset(task)
        history = History(task, environment.goal(task, first), (), first, recipe.rollout.history)
        rows.append({"prompt": environment.prompt(history), "task": number})
    return Dataset.from_list(rows)


def tasks_of(recipe, environment) -> list:
    """Those of every step, one after the other."""
    from sdar_cli.training.schedule import TaskSchedule

    schedule = TaskSchedule(environment.tasks("train"), recipe.rollout.tasks, recipe.seed)
    return [task for step in range(recipe.train.steps) for task in schedule.at(step)]


def rewards(recipe, environment, pool):
    """Play the answer as the task's first turn."""
    tasks = tasks_of(recipe, environment)

    def reward(completions, task, **_) -> list[float]:
        pool.reset({slot: tasks[number] for slot, number in enumerate(task)})
        parsed = [environment.parse(completion[0]["content"]) for completion in completions]
        actions = {slot: getattr(p, "text", None) or getattr(p, "fallback", None) for slot, p in enumerate(parsed)}
        answers = pool.step({slot: action for slot, action in actions.items() if action is not None})
        pool.release(range(len(completions)))
        return [answers[slot].reward if slot in answers else 0.0 for slot in actions]

    return reward


def main(base: str, mark: Path, report: str) -> None:
    import torch
    from datasets import disable_progress_bars
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import GRPOTrainer

    from sdar_cli.workshop import Workshop
    from steps.toy import toy_recipe

    torch.set_num_threads(1)
    disable_progress_bars()
    recipe = toy_recipe("grpo", 0.01)

    class Mark(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            mark.parent.mkdir(exist_ok=True)
            mark.write_text(f'{{"step": {state.global_step}}}\n', encoding="utf-8")

    with Workshop.open(recipe) as workshop:
        GRPOTrainer(
            model=AutoModelForCausalLM.from_pretrained(base, dtype="float32"),
            reward_funcs=rewards(recipe, workshop.environment, workshop.pool),
            args=arguments(recipe, mark.parent / "trl", steps=1, report=report),
            train_dataset=prompts(recipe, workshop.environment),
            processing_class=AutoTokenizer.from_pretrained(base, padding_side="left"),
            callbacks=[Mark()],
        ).train()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
