"""The command: which models, each in a process of its own, and the table."""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from spread import machine

REAL = ("qwen3-1.7b", "qwen2.5-7b")


def main(about: str | None) -> int:
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=REAL, default=list(REAL))
    parser.add_argument("--engine", choices=("vllm", "hf"), help="what generates; default: vLLM where it is installed")
    parser.add_argument("--episodes", type=int, default=64)
    parser.add_argument("--turns", type=int, default=8)
    parser.add_argument("--prompt", type=int, default=700)
    parser.add_argument("--response", type=int, default=128)
    parser.add_argument("--skills", type=int, default=400)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--tiny", action="store_true", help="a tiny shape, few short episodes; also on a CPU")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    parser.add_argument("--one", choices=[*REAL, "tiny"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    import torch

    if not torch.cuda.is_available() and not options.tiny:
        print(
            "error: no GPU is visible to torch: run this where there is one, or try the code with --tiny",
            file=sys.stderr,
        )
        return 2
    figures: dict[str, Any] = {"machine": describe(), "repeats": options.repeats, "models": {}}
    print(figures["machine"])
    for name in ["tiny"] if options.tiny else options.models:
        figures["models"][name] = one(name, options) if options.one or options.tiny else apart(name)
        if not options.one:
            show(name, figures["models"][name])
    figures["ratios"] = {
        f"{name}, {title}": cell for name, own in figures["models"].items() for title, cell in own["ratios"].items()
    }
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0


def describe() -> str:
    import torch

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return f"{device}; {machine()}"


def apart(name: str) -> dict[str, Any]:
    """The model's figures, from this command in another process: what a model held is free for the next."""
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "figures.json"
        options = [word for word in sys.argv[1:] if word not in REAL and word != "--models"]
        command = [sys.executable, sys.argv[0], *options, "--models", name, "--one", name, "--json", str(file)]
        if (code := subprocess.run(command, stdout=subprocess.DEVNULL).returncode) != 0:
            raise SystemExit(code)
        return json.loads(file.read_text(encoding="utf-8"))["models"][name]


def one(name: str, options: argparse.Namespace) -> dict[str, Any]:
    from gpu.measure import measure
    from gpu.models import MODELS
    from gpu.work import Work

    engine = options.engine or ("vllm" if importlib.util.find_spec("vllm") and not options.tiny else "hf")
    work = Work(options.episodes, options.turns, options.prompt, options.response, options.skills)
    if options.tiny:
        work = Work(episodes=4, turns=2, prompt=24, response=6, skills=12)
    with tempfile.TemporaryDirectory() as scratch:
        return measure(MODELS[name], engine, work, options.repeats, Path(scratch))


def show(name: str, own: dict[str, Any]) -> None:
    work = own["work"]
    print(
        f"\n{name}: {own['weights'] / 1e9:.2f} billion weights, {own['trains']}, {own['dtype']}, engine {own['engine']}"
    )
    print(f"{work['episodes']} episodes of {work['turns']} turns, {work['prompt']} + {work['response']} tokens a turn")
    print(f"peak: {own['peak']['operations'] / 1e12:.4g} TFLOP/s, {own['peak']['source']}")
    print(f"{'':<30}{'tokens a second':>17}{'share of peak':>16}")
    for title, part in own["parts"].items():
        rate, share = part["tokens_a_second"]["median"], part["share_of_peak"]["median"]
        print(f"{title:<30}{rate:>17,.0f}{share:>15.1%}")
    for phase, size in own["peak_gib"].items():
        print(f"{'memory, ' + phase:<30}{'–' if size is None else f'{size:.1f} GiB':>17}")
    for title, cell in own["ratios"].items():
        spread = f"{cell['q1']:.3f} to {cell['q3']:.3f}"
        print(f"{title:<30}{cell['median']:>17.3f}{spread:>20}")
