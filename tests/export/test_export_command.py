"""Where an export may go, what is refused, and that a folder is never half an export."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import torch
from exported_runs import Runs
from safetensors.torch import save_file

from sdar_cli.errors import RunError, UserError
from sdar_cli.evaluation.files import write_json
from sdar_cli.export.place import FORMAT, RECORD, check_place, marks, whole


def test_the_last_lines_say_where_it_is_and_how_to_load_it(runs: Runs, tmp_path: Path) -> None:
    _ = runs.adapted
    folder = tmp_path / "a b"
    done = runs.export("adapted", "--to", str(folder))
    assert done.out.splitlines()[0].startswith("adapted, step-3: the adapter merged, ")
    assert done.out.splitlines()[2:] == [
        f"folder         {folder}",
        f'transformers   AutoModelForCausalLM.from_pretrained("{folder}")',
        f"vllm           vllm serve '{folder}'",
    ]
    assert done.err.startswith("writing step-3, the adapter merged")


def test_an_export_is_replaced_only_if_wished(runs: Runs, tmp_path: Path) -> None:
    _ = runs.adapted
    words = ("adapted", "--checkpoint", "base", "--to", str(tmp_path / "out"))
    (tmp_path / "out").mkdir()
    assert runs.export(*words).code == 0, "an empty folder is free"
    (tmp_path / "out" / "mine").write_text("x")
    assert runs.export(*words).sentence().endswith("name another folder with --to, or add --force")
    sentence = runs.export(*words, "--force").sentence()
    assert "holds mine, which the export there did not write" in sentence
    (tmp_path / "out" / "mine").unlink()
    first = (tmp_path / "out" / RECORD).stat().st_ino
    assert runs.export(*words, "--force").code == 0
    assert (tmp_path / "out" / RECORD).stat().st_ino != first
    assert [path.name for path in tmp_path.iterdir()] == ["out"], "of the one before nothing is left"


def test_other_folders_are_never_replaced(runs: Runs, tmp_path: Path) -> None:
    _ = runs.adapted
    for name, words, why in (
        ("sdar_export.json", "{}", "is not of format 1"),
        ("sdar_export.json", "{", "is not JSON (line 1: Expecting property name enclosed in double quotes)"),
        ("thesis.tex", "x", "does not exist"),
    ):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(words)
        sentence = runs.export("adapted", "--to", str(folder), "--force").sentence()
        assert f"holds something else than an export of sdar's (its sdar_export.json {why})" in sentence
        assert (folder / name).is_file()
    sentence = runs.export("adapted", "--to", str(tmp_path / "thesis.tex" / "thesis.tex")).sentence()
    assert sentence.endswith("is a file: name a folder with --to")


def made(folder: Path) -> Path:
    """What an export looks like to the next one."""
    (folder / "evaluations").mkdir(parents=True)
    (folder / "README.md").write_text("card")
    (folder / "evaluations" / "base.json").write_text("{}")
    write_json(folder / RECORD, {"format": FORMAT, "files": marks(folder)})
    return folder


def contents(folder: Path) -> dict[str, bytes | bool]:
    return {str(path): path.is_dir() or path.read_bytes() for path in sorted(folder.rglob("*"))}


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("mine")
    return path


USERS = {
    ".git and 1 more": lambda out: (put(out / ".git" / "HEAD"), put(out / ".gitattributes")),
    "evaluations/note.txt": lambda out: put(out / "evaluations" / "note.txt"),
    "README.md": lambda out: put(out / "README.md"),
    "results": lambda out: (out / "results").mkdir(),
    "weights": lambda out: (out / "weights").symlink_to(out.parent),
    "evaluations": lambda out: (
        (out / "evaluations").rename(out.parent / "elsewhere"),
        (out / "evaluations").symlink_to(out.parent / "elsewhere"),
    ),
}


@pytest.mark.parametrize("name", USERS)
@pytest.mark.parametrize("late", [False, True])
def test_what_no_export_wrote_is_never_removed(tmp_path: Path, name: str, late: bool) -> None:
    """Whether it was there before, or came while the weights were written."""
    out = made(tmp_path / "out")
    check_place(out, force=True)
    if not late:
        USERS[name](out)
        before = contents(tmp_path)
        with pytest.raises(UserError) as refused:
            check_place(out, force=True)
    else:
        with pytest.raises(UserError) as refused, whole(out):
            USERS[name](out)
            before = contents(out)
    assert str(refused.value).startswith(f"{out} holds {name}, which the export there did not write")
    assert contents(tmp_path if not late else out) == before
    assert not list(tmp_path.glob(".*"))


def test_a_link_to_a_folder_is_followed(tmp_path: Path, runs: Runs) -> None:
    _ = runs.adapted
    (tmp_path / "large-disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "large-disk")
    for words in ((), ("--force",)):
        assert runs.export("adapted", "--checkpoint", "base", "--to", str(tmp_path / "out"), *words).code == 0
    assert (tmp_path / "out").is_symlink() and (tmp_path / "large-disk" / "config.json").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["large-disk", "out"]


@pytest.mark.parametrize("force", [False, True])
def test_a_failure_leaves_nothing_behind(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, force: bool
) -> None:
    _ = runs.adapted
    if force:
        assert runs.export("adapted", "--to", str(tmp_path / "out")).code == 0
    before = sorted(tmp_path.rglob("*"))

    def full(*about, **more) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sdar_cli.export.export.make_card", full)
    done = runs.export("adapted", "--to", str(tmp_path / "out"), *["--force"] * force)
    assert "cannot be written" in done.sentence()
    assert sorted(tmp_path.rglob("*")) == before


def test_a_full_disk_is_a_sentence(tmp_path: Path) -> None:
    """Which safetensors says in its own way."""
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, limits[1]))
    try:
        with pytest.raises(RunError, match=r"^the export cannot be written to .*File too large"):
            with whole(tmp_path / "out") as beside:
                save_file({"a": torch.zeros(4096)}, beside / "model.safetensors")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(tmp_path.iterdir())


def test_an_export_that_cannot_be_replaced_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").write_text("x")
    write_json(tmp_path / "out" / RECORD, {"format": FORMAT, "files": marks(tmp_path / "out")})
    replace = os.replace

    def refuse(source: Path, target: Path) -> None:
        if source.name.startswith(".out.") and not source.name.startswith(".out-old"):
            raise OSError(16, "Device or resource busy")
        replace(source, target)

    monkeypatch.setattr("os.replace", refuse)
    with pytest.raises(RunError, match="Device or resource busy"), whole(tmp_path / "out") as beside:
        (beside / "new").write_text("y")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["old", "out", RECORD]


def test_what_cannot_be_exported(runs: Runs, tmp_path: Path) -> None:
    _ = runs.adapted
    assert "is a bare model" in runs.export(str(runs.base)).sentence()
    assert "no checkpoint of step 9" in runs.export("adapted", "--checkpoint", "9").sentence()
    assert "must be a step, 'base', 'best' or 'last'" in runs.export("adapted", "--checkpoint", "first").sentence()
    run = runs.train("whole")
    assert "has no adapter, its weights being whole" in runs.export("whole", "--adapter").sentence()
    early = tmp_path / "early"
    shutil.copytree(run.path, early)
    shutil.rmtree(early / "checkpoints")
    (early / "checkpoints").mkdir()
    assert "has no checkpoint yet" in runs.export(str(early)).sentence()
