"""Whether an evaluation is made as a run's own ones were: on its panel, under its conditions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sdar_cli.evaluation.conditions import differing, episode_options
from sdar_cli.evaluation.evaluator import Evaluator, sampling_record
from sdar_cli.evaluation.files import digest
from sdar_cli.evaluation.panel import Panel
from sdar_cli.evaluation.result import Evaluation, Mode
from sdar_cli.runs.store import RunFolder


def file_suffix(run: RunFolder | None, evaluator: Evaluator, engine: str) -> str:
    """What the names of a run's files get where they are not about its own panel and conditions: a hash of them.

    Args:
        engine: what plays, as an ``Evaluation`` names it.
    """
    if run is None:
        return ""
    panel = evaluator.panel.digest
    if other := engine != own_engine(run):
        panel = f"{panel}-{engine}"
    if other or not _as_trained(run, evaluator):
        conditions = sampling_record(evaluator.workshop.recipe), evaluator.workshop.recipe.evaluation.panel_seed
        environment = evaluator.workshop.environment
        about = evaluator.workshop.bank.digest, episode_options(environment), dict(environment.facts())
        return f"-{digest([panel, *conditions, *about])[:8]}"
    return "" if Panel.load(run.panel_file).digest == panel else f"-{panel[:8]}"


def own_engine(run: RunFolder) -> str:
    """What played the run's own evaluations; before there is one, what its recipe names."""
    files = run.evaluations()
    file = files.get("base-no_skills") or files.get("base-skills")
    return Evaluation.load(file).engine if file is not None else run.recipe().engine.kind


def _as_trained(run: RunFolder, evaluator: Evaluator) -> bool:
    """Whether sampling, seed, skills and environment are those of the run's own evaluations, as far as they say."""
    own, now = run.recipe(), evaluator.workshop.recipe
    if (sampling_record(own), own.evaluation.panel_seed) != (sampling_record(now), now.evaluation.panel_seed):
        return False
    files = run.evaluations()
    file = files.get("base-no_skills") or files.get("base-skills")
    if file is None:
        return True
    kept, environment = Evaluation.load(file), evaluator.workshop.environment
    changed = differing(kept.options, episode_options(environment)) + differing(kept.facts, environment.facts())
    return not changed and kept.bank_digest == evaluator.workshop.bank.digest


def kept_base(
    run: RunFolder, evaluator: Evaluator, modes: Sequence[Mode], suffix: str, engine: str
) -> Mapping[tuple[str, Mode], Evaluation]:
    """Evaluations of the base that the run has, where engine, panel, sampling, skills, seed and environment are those
    of now; one that does not say what its environment was is of no use where there is something to say."""
    recipe, environment = evaluator.workshop.recipe, evaluator.workshop.environment
    now = episode_options(environment), dict(environment.facts())
    found = {}
    for mode in modes:
        file = run.evaluations().get(f"base-{mode}{suffix}")
        if file is None:
            continue
        kept = Evaluation.load(file)
        same = (
            kept.engine == engine
            and kept.panel == evaluator.panel.digest
            and dict(kept.sampling) == sampling_record(recipe)
            and kept.seed == recipe.evaluation.panel_seed
            and kept.bank_digest == evaluator.workshop.bank.digest
            and (dict(kept.options), dict(kept.facts)) == now
        )
        if same:
            found["base", mode] = kept
    return found
