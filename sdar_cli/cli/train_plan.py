"""``sdar train --dry-run`` in words: the recipe, what it would play on, and what it would need."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdar_cli.cli.render import bytes_, count, duration, print_table, say

if TYPE_CHECKING:
    from sdar_cli.launch.options import Launch
    from sdar_cli.recipe.estimate import Processes
    from sdar_cli.recipe.fit import Fit
    from sdar_cli.recipe.hours import Hours
    from sdar_cli.recipe.memory import Memory
    from sdar_cli.recipe.plan import PanelFacts, Plan


def print_plan(plan: Plan) -> None:
    from sdar_cli.recipe.dump import annotated

    say(annotated(plan.resolved))
    panel = plan.panel
    say(f"panel     {panel.tasks} tasks of {panel.split}, {_panel_hash(panel)}")
    if facts := _facts(plan):
        say(f"facts     {facts}")
    say(f"command   {plan.shell_command}")
    say(f"processes {_processes(plan.processes)}")
    for sentence in plan.lacking:
        say(f"lacking   {sentence}")
    say("\nTokens of a step, at most")
    print_table(("", "amount", "formula"), [(p.name, count(p.amount), p.formula) for p in plan.tokens], ("amount",))
    if plan.memory is None:
        say("\nMemory: unknown, as the model's config.json is not here; give a local folder with --model")
        return
    _print_memory(plan.memory, plan.processes.count)
    if plan.fit is None:
        say("\nWhether it fits a GPU, and hours: add --gpu h100, or another of the table in docs/sizing.md")
        return
    _print_fit(plan.fit)
    if plan.hours is None:
        say("\nHours: unknown without the GPU's speed; name it with --gpu")
    else:
        _print_hours(plan.hours, plan.processes.count)


def processes_here(launch: Launch) -> int:
    """How many processes a run would be on this machine. Loads no torch: NVIDIA's driver is asked."""
    from sdar_cli.checkup.devices import visible_gpus

    return launch.nproc or max(1, visible_gpus())


def _processes(processes: Processes) -> str:
    return "1" if processes.count == 1 else f"{processes.count}, --dist {processes.dist}"


def _print_memory(memory: Memory, processes: int) -> None:
    each = "one device" if processes == 1 else f"each of {processes} devices"
    say(f"\nMemory of {each}, an estimate: a few tens of percent off is usual")
    rows = [(p.name, bytes_(p.amount) if p.amount else "-", p.phases, p.formula) for p in memory.parts]
    rows.append(("most at once", bytes_(memory.peak), memory.phase, ""))
    print_table(("", "amount", "held in", "formula"), rows, ("amount",))


def _print_fit(fit: Fit) -> None:
    found = f"{bytes_(fit.memory.peak)} of {bytes_(fit.gpu.memory)} on {fit.gpu.name}"
    if fit.left >= 0:
        say(f"\nfits      yes, {found}: {bytes_(fit.left)} to spare beside the 5 % that stay free")
    else:
        say(f"\nfits      no, {found}: {bytes_(-fit.left)} are lacking, 5 % staying free")
    if fit.sequences is not None:
        held = max(0, fit.sequences)
        say(f"vLLM      room for {held} of the longest sequences at once in its share")
    if fit.remedy:
        say(f"change    {fit.remedy}")


def _print_hours(hours: Hours, processes: int) -> None:
    each = "" if processes == 1 else f" on {processes} of these GPUs"
    say(f"\nTime{each}, an estimate: a factor of two off is usual")
    parts = (*hours.step, hours.evaluations)
    rows = [(part.name, duration(part.usual), duration(part.most), part.formula) for part in parts]
    words = f"{hours.steps} steps + {hours.evaluated} evaluations"
    rows.append(("the training", duration(hours.usual), duration(hours.most), words))
    print_table(("a step's", "usual", "at most", "formula"), rows, ("usual", "at most"))
    for line in hours.assumed:
        say(f"assumed   {line}")


def _panel_hash(panel: PanelFacts) -> str:
    return f"sha256 {panel.digest}" if panel.digest else f"not drawn: {panel.problem}"


def _facts(plan: Plan) -> str:
    """Nothing where there are none, or where the panel's row has said what is wrong."""
    from sdar_cli.evaluation.conditions import in_words

    if plan.facts.problem is None:
        return in_words(plan.facts.values)
    return "" if plan.facts.problem == plan.panel.problem else f"not known: {plan.facts.problem}"
