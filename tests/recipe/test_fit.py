from __future__ import annotations

from functools import cache
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdar_cli.errors import UserError
from sdar_cli.launch.dist import check_recipe
from sdar_cli.recipe.estimate import Processes
from sdar_cli.recipe.fit import fit
from sdar_cli.recipe.gpus import GIB, GPUS, Gpu, find_gpu, named_like, read_size
from sdar_cli.recipe.load import load_recipe
from sdar_cli.recipe.schema import Recipe


@cache
def recipe(name: str, *overrides: str) -> Recipe:
    return load_recipe(name, overrides=overrides, check_environment=False).recipe


def of(gib: float) -> Gpu:
    return Gpu("a GPU", int(gib * GIB))


@given(st.floats(1, 500), st.floats(0, 500))
def test_more_memory_never_fits_less(gib: float, more: float) -> None:
    small, large = (fit(recipe("alfworld-qwen3-1.7b", "engine.kind=hf"), of(n)) for n in (gib, gib + more))
    assert small.fits <= large.fits and small.left <= large.left
    assert bool(small.remedy) is not small.fits


def words_of(remedy: str) -> tuple[list[str], Processes]:
    """Overrides and processes that a remedy names."""
    overrides, processes = [], Processes()
    for part in remedy.split(" and "):
        if "--dist " in part:
            words = part.removesuffix(" (pip install 'sdar[zero3]')").split()
            processes = Processes(int(words[1]) if words[0] == "--nproc" else 1, words[-1])
        elif part.startswith("engine.mode=server"):
            overrides += ["engine.mode=server", "engine.server_url=http://127.0.0.1:8000"]
        else:
            overrides.append(part)
    return overrides, processes


NAMES = ("alfworld-qwen3-1.7b", "alfworld-qwen2.5-7b", "search-qa-qwen2.5-3b", "webshop-qwen2.5-7b")


@pytest.mark.parametrize(("name", "gib"), list(product(NAMES, (24, 40, 80, 140))))
@pytest.mark.parametrize("engine", ["engine.kind=hf", "engine.kind=vllm"])
def test_a_remedy_is_a_recipe_that_fits(name: str, gib: int, engine: str) -> None:
    found = fit(recipe(name, engine), of(gib))
    assert found is not None
    if found.fits or found.remedy.startswith("take a GPU"):
        return
    overrides, processes = words_of(found.remedy)
    mended = fit(recipe(name, engine, *overrides), of(gib), processes)
    assert mended.fits, found.remedy
    assert mended.sequences is None or mended.sequences >= 1
    check_recipe(processes.dist, recipe(name, engine, *overrides))


@pytest.mark.parametrize("override", ["model.lora.quantise=nf4", "distill.divergence=jsd"])
@pytest.mark.parametrize("gib", [6, 8, 12, 16, 24, 40])
def test_no_remedy_divides_what_cannot_be_divided(override: str, gib: int) -> None:
    found = fit(recipe("alfworld-qwen2.5-7b", "engine.kind=hf", override), of(gib))
    assert found.fits or "--dist" not in found.remedy


def test_four_bits_are_not_proposed_beside_divided_weights() -> None:
    divided = Processes(8, "fsdp2")
    found = fit(recipe("alfworld-qwen2.5-7b", "engine.kind=hf", "engine.max_batch=16"), of(24), divided)
    assert found.remedy == "--dist ddp and model.lora.quantise=nf4"
    mended = recipe("alfworld-qwen2.5-7b", "engine.kind=hf", "engine.max_batch=16", "model.lora.quantise=nf4")
    assert fit(mended, of(24), Processes(8)).fits


def test_zero3_is_proposed_only_where_fsdp2_is_too_large() -> None:
    own = recipe("alfworld-qwen2.5-7b", "engine.kind=hf")
    fits = {dist: fit(own, of(40), Processes(8, dist)).fits for dist in ("ddp", "fsdp2", "zero3")}
    assert fits == {"ddp": False, "fsdp2": False, "zero3": True}
    extra = "--dist zero3 (pip install 'sdar[zero3]')"
    assert fit(own, of(40)).remedy == f"--nproc 8 {extra}"
    assert fit(own, of(40), Processes(8)).remedy == fit(own, of(40), Processes(8, "fsdp2")).remedy == extra
    assert fit(own, of(80), Processes(8)).remedy == "--dist fsdp2"


def test_the_published_models_on_published_gpus() -> None:
    """What docs/sizing.md says."""
    large = fit(recipe("alfworld-qwen3-1.7b", "engine.gpu_memory=0.5"), GPUS["h200"])
    assert large.fits and large.sequences > 128
    half = fit(recipe("alfworld-qwen3-1.7b", "engine.gpu_memory=0.5"), GPUS["h100"])
    assert not half.fits and half.remedy.startswith("engine.gpu_memory=")
    for model, dist in (("qwen3-1.7b", "ddp"), ("qwen2.5-3b", "fsdp2"), ("qwen2.5-7b", "fsdp2")):
        for task in ("alfworld", "webshop", "search-qa"):
            eight = fit(recipe(f"{task}-{model}"), GPUS["h100"], Processes(8, dist))
            assert eight.fits and eight.sequences >= 16, "a GPU's share of 128 episodes, at once"
    for model in ("qwen2.5-3b", "qwen2.5-7b"):
        assert fit(recipe(f"alfworld-{model}"), GPUS["h100"]).remedy == "--nproc 8 --dist fsdp2"
    assert fit(recipe("alfworld-qwen2.5-7b"), of(8)).remedy.startswith("take a GPU with more memory")


def test_a_share_without_a_cache_is_no_fit() -> None:
    """Weights in bfloat16 leave nothing of a small share, though the sum would fit."""
    found = fit(recipe("alfworld-qwen3-1.7b", "model.lora={}", "engine.gpu_memory=0.05"), GPUS["h100"])
    assert found.left > 0 and found.sequences < 1 and not found.fits
    assert found.remedy.startswith("engine.gpu_memory=")


@pytest.mark.parametrize(
    ("text", "size"), [("80G", 80 * GIB), ("79.6GiB", int(79.6 * GIB)), ("40960M", 40 * GIB), (" 24 gb ", 24 * GIB)]
)
def test_sizes(text: str, size: int) -> None:
    assert read_size(text) == size


@pytest.mark.parametrize("text", ["", "80", "G", "0G", "-1G", "80T", "1e3G", "nan G", "٣G0"])
def test_no_sizes(text: str) -> None:
    with pytest.raises(UserError, match="write for example 80G"):
        read_size(text)


def test_a_gpu_by_its_name() -> None:
    assert find_gpu(None, None) is None
    assert find_gpu("H100", None) is GPUS["h100"] and find_gpu("rtx_4090", None) is GPUS["4090"]
    for name in ("RTX 4090", "nvidia-rtx-4090", "NVIDIA GeForce RTX 4090"):
        assert find_gpu(name, None) is GPUS["4090"]
    assert find_gpu("h100", "40G").memory == 40 * GIB and find_gpu("h100", "40G").bandwidth == 3.35e12
    assert find_gpu(None, "80G") == Gpu("a GPU of 80G", 80 * GIB)
    with pytest.raises(UserError, match="a100-40 or a100-80"):
        find_gpu("a100", None)
    with pytest.raises(UserError, match="choose b200, h200"):
        find_gpu("tpu", None)


@pytest.mark.parametrize(
    ("driver", "name"),
    [
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("NVIDIA H100 PCIe", "h100-pcie"),
        ("NVIDIA H200", "h200"),
        ("NVIDIA A100-SXM4-80GB", "a100-80"),
        ("NVIDIA A100-PCIE-40GB", "a100-40"),
        ("NVIDIA L40S", "l40s"),
        ("NVIDIA GeForce RTX 4090", "4090"),
        ("NVIDIA RTX A6000", "a6000"),
        ("Tesla T4", None),
    ],
)
def test_a_gpu_by_what_the_driver_calls_it(driver: str, name: str | None) -> None:
    assert named_like(driver) is (GPUS[name] if name else None)
