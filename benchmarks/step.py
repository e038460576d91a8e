"""What each method's step costs: over a GRPO step and over TRL's own trainer.

    python benchmarks/step.py [--repeats 9] [--base FOLDER] [--only sdar] [--json FILE]   # the quickstart recipe
    python benchmarks/step.py --shape toy [--repeats 5]                                   # 0.35 M parameters
    python benchmarks/step.py --shape launch [--repeats 5]                                # until the first step

Printed are medians with quartiles over repetitions, and of the ratios of paired repetitions. Seconds, of CPU where no
GPU works, depend on the machine; ratios much less. What is measured stands in ``steps/whole.py``, ``steps/toy.py`` and
``steps/launch.py``; what a teacher pass is held against, in ``steps/floor.py``.

A model with random weights, which is what is measured without ``--base``, says nothing that its environment
understands. So a group's prompts stay alike from turn to turn, and more of them is shared than once a model acts:
give the ``base`` folder of a run to measure that.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from spread import machine, quartiles, ratios, show


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=["quickstart", "toy", "launch"], default="quickstart")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--recipe", default="quickstart", help="for the first shape")
    parser.add_argument("--base", type=Path, help="weights to measure with; else random ones")
    parser.add_argument("--only", nargs="*", help="methods beside grpo and sdar; else all")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        times, compared = measured(options, Path(scratch))
    figures = {
        "shape": options.recipe if options.shape == "quickstart" else options.shape,
        "weights": "random" if options.base is None else "warmed up",
        "machine": machine(),
        "repeats": len(next(iter(times.values()))),
        "seconds": {key: quartiles(values) for key, values in times.items()},
        "ratios": compared,
    }
    print(f"{figures['shape']}, {figures['repeats']} repetitions, {figures['machine']}\n")
    show("seconds", figures["seconds"])
    show("ratios", figures["ratios"])
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def measured(options: argparse.Namespace, scratch: Path) -> tuple[dict[str, list[float]], dict]:
    """Seconds of every part in each repetition, and the ratios."""
    if options.shape == "toy":
        from steps import toy

        times = toy.measure(options.repeats, scratch)
        return times, {title: ratios(times[a], times[b]) for title, (a, b) in toy.pairs().items()}
    if options.shape == "launch":
        from steps import launch

        times = launch.measure(options.repeats, scratch)
        return times, {title: ratios(times[a], times[b]) for title, (a, b) in launch.PAIRS.items()}
    from steps import whole

    chosen = whole.METHODS if options.only is None else ["grpo", "sdar", *options.only]
    methods = [label for label in whole.METHODS if label in chosen]
    times = whole.measure(options.recipe, methods, options.base, options.repeats, scratch)
    return times, whole.ratios_of(times)


if __name__ == "__main__":
    main()
