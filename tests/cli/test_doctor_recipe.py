"""``sdar doctor --recipe``: what one recipe needs here."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import hollow_model
import pytest

from sdar_cli.checkup import engines, machine, model, needs, room
from sdar_cli.checkup.finding import Finding, from_sentence
from sdar_cli.cli.main import main
from sdar_cli.recipe.estimate import Processes
from sdar_cli.recipe.gpus import GIB, GPUS, Gpu

sys.path.insert(0, str(Path(__file__).parent))

from doctor_recipes import recipe


def test_the_quickstart_needs_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["doctor", "--recipe", "quickstart", "--runs", str(tmp_path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] and told["recipe"] == "quickstart"
    found = {finding["subject"]: finding for finding in told["findings"]}
    assert found["environment household"]["found"].endswith("408 of test")
    assert found["GPU memory"]["verdict"] == found["model"]["verdict"] == "ok"


def test_what_is_lacking_is_a_problem_with_one_remedy_each(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(needs, "present_gpus", list)
    monkeypatch.setattr(engines, "installed", lambda *names: None)
    words = ["doctor", "-r", "alfworld-qwen3-1.7b", "model.path=not/here", f"environment.options.data={tmp_path}/none"]
    assert main([*words, "model.lora.quantise=nf4", "--runs", str(tmp_path), "--json"]) == 1
    found = {finding["subject"]: finding for finding in json.loads(capsys.readouterr().out)["findings"]}
    problems = {name for name, finding in found.items() if finding["verdict"] == "problem"}
    assert problems >= {"model", "vLLM", "bitsandbytes", "environment alfworld"}
    assert "HF_HUB_OFFLINE" in found["model"]["found"] and "--model FOLDER" in found["model"]["remedy"]
    assert "engine.kind=hf" in found["vLLM"]["remedy"]
    assert f"{tmp_path}/none" in found["environment alfworld"]["found"]
    assert "sdar data alfworld" in found["environment alfworld"]["remedy"]
    assert all(finding["remedy"] for finding in found.values() if finding["verdict"] == "problem")


def test_a_recipe_that_is_wrong_is_the_users_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--recipe", "quickstart", "gate.bata=3"]) == 2
    assert "gate.beta" in capsys.readouterr().err


# -- the model ------------------------------------------------------------------------------------


def lay(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text("{}")
    return folder


def test_a_folder_lacks_a_file(tmp_path: Path) -> None:
    def look() -> Finding:
        return model.model(recipe(f"model.path={tmp_path}"), tmp_path)

    assert look().found == f"{tmp_path} holds no config.json"
    lay(tmp_path, "config.json")
    assert look().found == f"{tmp_path} holds no model.safetensors"
    index = {"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    lay(tmp_path, "one.safetensors")
    assert look().found == f"{tmp_path} holds no two.safetensors"
    lay(tmp_path, "two.safetensors")
    assert look().found == f"{tmp_path} holds no tokenizer.json"
    lay(tmp_path, "tokenizer.json")
    assert look().found.startswith(f"{tmp_path}/one.safetensors is cut short")
    for name in "a", "b":
        header = hollow_model.header_of({name: (2,)})
        (tmp_path / {"a": "one", "b": "two"}[name]).with_suffix(".safetensors").write_bytes(
            hollow_model.safetensors(header)
        )
    assert look() == Finding("model", "ok", str(tmp_path))
    (tmp_path / "model.safetensors.index.json").write_text("[1")
    assert look().found == f"{tmp_path} holds no readable model.safetensors.index.json"


def test_a_path_that_is_none() -> None:
    for path in ("./nowhere", "/no/where", "a/b/c"):
        assert model.model(recipe(f"model.path={path}"), Path()).found == f"no folder {path}"
    for name in ("a/-b", "..", "a b"):
        assert model.model(recipe(f"model.path={json.dumps(name)}"), Path()).verdict == "problem"


def test_the_hubs_cache_must_be_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    folder = tmp_path / "models--some--model"
    lay(folder / "refs", "main")
    (folder / "refs" / "main").write_text("abc")
    lay(folder / "snapshots" / "abc", "config.json", "tokenizer.json")
    own = recipe("model.path=some/model")
    assert model.model(own, tmp_path).verdict == "problem"
    lay(folder / "snapshots" / "abc", "model.safetensors")
    assert model.model(own, tmp_path) == Finding("model", "ok", "some/model, in the cache")


def hub(monkeypatch: pytest.MonkeyPatch, answer: object) -> None:
    import huggingface_hub

    def model_info(self: object, path: str, **arguments: object) -> object:
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", model_info)


def files(**sizes: int) -> SimpleNamespace:
    siblings = [SimpleNamespace(rfilename=name.replace("_", "."), size=size) for name, size in sizes.items()]
    return SimpleNamespace(siblings=siblings)


def test_a_model_on_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    import httpx
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    own, refused = recipe("model.path=some/model"), httpx.Response(401, request=httpx.Request("GET", "http://hub"))
    for answer, words, remedy in (
        (files(model_safetensors=3 * GIB, config_json=9), "some/model, on the hub: 3.0 GiB to fetch", ""),
        (files(model_bin=3), "no safetensors", "another"),
        (GatedRepoError("no", response=refused), "gated", "HF_TOKEN"),
        (RepositoryNotFoundError("no", response=refused), "neither a folder here nor", "HF_TOKEN"),
        (httpx.ConnectError("no"), "does not answer (ConnectError)", "connection"),
        (OSError("no"), "does not answer (OSError)", "connection"),
    ):
        with monkeypatch.context() as here:
            hub(here, answer)
            finding = model.model(own, Path())
        assert words in finding.found and remedy in finding.remedy
        assert finding.verdict == ("problem" if remedy else "ok")


def test_a_run_to_start_from(tmp_path: Path) -> None:
    finding = model.model(recipe("model.path=null", "init_from=nothing"), tmp_path)
    assert finding.verdict == "problem" and "'nothing'" in finding.found and finding.remedy


def test_too_few_tasks_for_the_panel() -> None:
    finding = needs.environment(recipe("evaluation.tasks=100000", name="quickstart"))
    assert finding.verdict == "problem" and "lower evaluation.tasks to 408" in finding.remedy


# -- memory ---------------------------------------------------------------------------------------


def test_memory_against_the_gpus_that_are_here() -> None:
    def look(*gpus: Gpu, name: str = "alfworld-qwen3-1.7b") -> dict[str, Finding]:
        share = () if name == "quickstart" else ("engine.gpu_memory=0.5",)
        return {finding.subject: finding for finding in needs.size(recipe(*share, name=name), list(gpus))}

    assert look()["GPU memory"].verdict == "problem"
    fits = look(GPUS["h200"])
    assert fits["GPU memory"].verdict == "ok" and fits["hours"].found.endswith("on 1 × h200")
    lacks = look(GPUS["h100"], GPUS["h200"])["GPU memory"]
    assert lacks.verdict == "problem" and lacks.remedy.startswith("set engine.gpu_memory=")
    assert "79.6 GiB on h100" in lacks.found
    assert look(name="quickstart")["GPU memory"].verdict == "ok"
    unknown = {f.subject: f for f in needs.size(recipe("model.path=some/thing"), [GPUS["h100"]])}
    assert unknown["GPU memory"].verdict == "absent"
    assert "hours" not in look(Gpu("Tesla T4", 200 * GIB)), "its speed is in no table"


def sized(gpus: list[Gpu], *more: object, name: str = "alfworld-qwen2.5-7b") -> dict[str, Finding]:
    return {finding.subject: finding for finding in needs.size(recipe(name=name), gpus, *more)}


def test_what_a_remedy_names_can_be_asked_about() -> None:
    eight = [GPUS["h100"]] * 8
    whole = sized(eight)["GPU memory"]
    assert whole.verdict == "problem" and whole.remedy == "set --dist fsdp2"
    assert "for each of 8 processes" in whole.found and "--dist" not in whole.found
    divided = sized(eight, None, "fsdp2")
    assert divided["GPU memory"].verdict == "ok" and "8 processes with --dist fsdp2" in divided["GPU memory"].found
    assert divided["hours"].found.endswith("on 8 × h100") and "processes" not in divided
    four = sized(eight, 4, "fsdp2")
    assert four["hours"].found.endswith("on 4 × h100")


def test_more_processes_than_gpus_are_a_problem() -> None:
    alone = sized([GPUS["h100"]])["GPU memory"]
    assert alone.remedy == "set --nproc 8 --dist fsdp2, on a machine with 8 GPUs"
    found = sized([GPUS["h100"]], 8, "fsdp2")
    assert found["processes"].verdict == "problem" and "more than the 1 visible GPUs" in found["processes"].found
    assert found["GPU memory"].verdict == "ok"


def test_the_options_of_training_are_those_of_the_doctor(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(needs, "present_gpus", lambda: [GPUS["h100"]] * 8)
    monkeypatch.setattr("importlib.util.find_spec", lambda name, find=importlib.util.find_spec: _but(name, find))
    (tmp_path / "model").mkdir()
    words = ["doctor", "-r", "alfworld-qwen2.5-7b", "--runs", str(tmp_path), "--json"]

    def look(*more: str) -> dict[str, dict]:
        assert main([*words, *more]) == 1
        return {finding["subject"]: finding for finding in json.loads(capsys.readouterr().out)["findings"]}

    found = look("--nproc", "4", "--dist", "zero3", "--data", str(tmp_path / "none"))
    assert found["hours"]["found"].endswith("on 4 × h100")
    assert f"{tmp_path}/none" in found["environment alfworld"]["found"]
    assert found["weights in parts"]["remedy"].startswith("pip install 'sdar[zero3]'")
    assert found["weights in parts"]["found"] == "--dist zero3 needs DeepSpeed, which is not installed"
    found = look("--model", str(tmp_path / "model"), "--dist", "fsdp2")
    assert found["model"]["found"].startswith(f"{tmp_path}/model holds no")
    assert found["weights in parts"]["verdict"] == "ok"
    found = look("--dist", "fsdp2", "model.lora.quantise=nf4")
    assert "four bits" in found["weights in parts"]["found"]


def _but(name: str, find: Callable[[str], object]) -> object:
    return None if name == "deepspeed" else find(name)


@pytest.mark.parametrize("more", [["--nproc", "2"], ["--dist", "fsdp2"], ["--model", "x"], ["--data", "x"]])
def test_without_a_recipe_there_is_nothing_to_ask_about(capsys: pytest.CaptureFixture[str], more: list[str]) -> None:
    assert main(["doctor", *more]) == 2
    assert "name one with --recipe" in capsys.readouterr().err


def test_checkpoints_need_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda path: SimpleNamespace(free=50 * GIB))
    kept = needs.kept_bytes(recipe())
    assert kept == 3 * 12 * 1_720_574_976  # two kept and one being written; weights and two moments
    assert next(machine.room(tmp_path, kept)).remedy.startswith("free 58 GiB")
    assert needs.kept_bytes(recipe("model.lora={}")) < 2 * GIB


def test_a_run_that_will_not_fit_is_warned_of() -> None:
    own = recipe("model.lora={}")
    assert room.warning(own, Processes(), int(78 * GIB), int(79.6 * GIB)) is None
    words = room.warning(recipe("engine.gpu_memory=0.5"), Processes(8), int(70 * GIB), int(79.6 * GIB))
    assert words.startswith("warning: this run may need ") and "engine.gpu_memory=" in words and "\n" not in words
    taken = room.warning(own, Processes(), 10 * GIB, int(79.6 * GIB))
    assert "nvidia-smi" in taken, "it would fit an empty GPU"
    assert room.warning(recipe("model.path=some/thing"), Processes(), GIB, GIB) is None


def test_the_warning_is_said_by_the_first_process(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from sdar_cli.cli import launching
    from sdar_cli.launch.options import Launch

    monkeypatch.setattr(room, "too_large", lambda own, processes, device: f"warning: {processes.count} on {device}")
    launching._warn_of_memory(recipe(), Launch())
    assert capsys.readouterr().err == "warning: 1 on 0\n"
    for name, value in (("RANK", "1"), ("WORLD_SIZE", "2"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    launching._warn_of_memory(recipe(), Launch())
    assert capsys.readouterr().err == ""


def test_without_a_gpu_nothing_is_warned_of() -> None:
    assert room.too_large(recipe(), Processes()) is None


@pytest.mark.parametrize(
    ("sentence", "found", "remedy"),
    [
        ("it is broken: mend it", "it is broken", "mend it"),
        ("http://a:1 is gone: start\n it", "http://a:1 is gone", "start it"),
    ],
)
def test_a_sentence_has_its_remedy_behind_the_colon(sentence: str, found: str, remedy: str) -> None:
    assert from_sentence("x", sentence) == Finding("x", "problem", found, remedy)
