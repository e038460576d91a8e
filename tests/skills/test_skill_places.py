"""What lies in a bank's folder beside skills, or in their place: one sentence, and nothing outside is read."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sdar_cli.errors import SkillError
from sdar_cli.skills import SkillBank
from sdar_cli.skills import files as bank_files
from sdar_cli.skills.block import render_block
from sdar_cli.skills.skill import parse_skill

SKILL = "---\ndescription: d\ntask_types: []\n---\nBe brief.\n"
MAPPING = "skill_mapping.json"


@pytest.fixture
def bank(tmp_path: Path) -> Path:
    folder = tmp_path / "bank"
    folder.mkdir()
    (folder / "brief.md").write_text(SKILL)
    return folder


def refused(bank: Path | str, *words: str) -> None:
    with pytest.raises(SkillError) as caught:
        SkillBank.load(bank)
    sentence = str(caught.value)
    assert "\n" not in sentence and ": " in sentence
    for word in words:
        assert word in sentence


PLACES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a folder": (Path.mkdir, "heat.md is a folder, not a file"),
    "a pipe": (os.mkfifo, "heat.md is a pipe, not a file"),
    "a device": (lambda path: path.symlink_to("/dev/zero"), "heat.md is a link that leaves the bank's folder"),
    "a link to itself": (lambda path: path.symlink_to(path.name), "heat.md cannot be followed"),
    "a link to nothing": (lambda path: path.symlink_to("nothing.md"), "heat.md does not exist"),
    "a link out": (lambda path: path.symlink_to(__file__), "heat.md is a link that leaves the bank's folder"),
    "gigabytes": (lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_RDWR), 1 << 34), "is larger than 64 KiB"),
}


def test_a_bank_in_a_model_hub_s_cache(tmp_path: Path) -> None:
    """Its files are links into the folder of contents beside the snapshots."""
    contents, bank = (tmp_path / "datasets--a--skills" / name for name in ("blobs", "snapshots/f00/bank"))
    for folder in (contents, bank):
        folder.mkdir(parents=True)
    (contents / "0a1b").write_text(SKILL)
    (bank / "brief.md").symlink_to("../../../blobs/0a1b")
    assert [skill.name for skill in SkillBank.load(bank).skills] == ["brief"]


@pytest.mark.parametrize("place", PLACES)
def test_in_a_skills_place(bank: Path, place: str) -> None:
    make, complaint = PLACES[place]
    make(bank / "heat.md")
    refused(bank, complaint)
    (bank / MAPPING).write_text(json.dumps({"skill_files": ["heat.md"], "task_to_skill": {}}))
    mapped = {"leaves": "outside the bank", "does not exist": "which is not there"}
    refused(bank, next((said for word, said in mapped.items() if word in complaint), complaint.replace("heat.md ", "")))


@pytest.mark.parametrize("place", PLACES)
def test_in_the_mappings_place(bank: Path, place: str) -> None:
    make, complaint = PLACES[place]
    make(bank / MAPPING)
    refused(bank, MAPPING, complaint.replace("heat.md ", ""))


def test_users_who_are_nobody_and_names_that_no_file_has(tmp_path: Path) -> None:
    refused("~nobody_at_all/bank", "skill bank ~nobody_at_all/bank is not a folder")
    refused(tmp_path / ("x" * 300), "is not a folder")
    refused(tmp_path / "a\0b", "is not a folder")


def test_a_walk_is_bounded(bank: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In breadth and in depth: an operating system lets paths be deeper than Python recurses."""
    deep = [bank / "/".join(["d"] * depth) for depth in range(1, 1500)]
    for folder in deep:
        folder.mkdir()
    assert len(SkillBank.load(bank).skills) == 1
    for folder in reversed(deep):  # what clears temporary folders recurses too
        folder.rmdir()
    for number in range(30):
        (bank / f"{number}.txt").touch()
    monkeypatch.setattr(bank_files, "MAX_ENTRIES", 25)
    refused(bank, "holds more than 25 files and folders")


def test_a_subfolder_that_cannot_be_listed_is_said(bank: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (bank / "heating").mkdir()
    real = os.scandir

    def scandir(path: Any) -> Any:
        if os.fspath(path) == str(bank / "heating"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr("os.scandir", scandir)
    refused(bank, f"holds {bank / 'heating'}, which cannot be listed (Permission denied): check its permissions")


def test_a_link_that_is_put_in_the_way_is_not_followed(bank: Path, tmp_path: Path, monkeypatch: Any) -> None:
    """Between the look at a path and its opening, the file, and then its folder, become links that leave."""
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "heat.md").write_text(SKILL.replace("Be brief.", "secret"))
    (bank / "sub").mkdir()
    (bank / "sub" / "heat.md").write_text(SKILL)
    real = os.path.realpath

    def swap(victim: Path, target: Path) -> Callable[..., str]:
        def realpath(path: Any, **options: Any) -> str:
            found = real(path, **options)
            if str(path).endswith("heat.md") and not victim.is_symlink():
                victim.rename(tmp_path / f"was-{victim.name}")
                victim.symlink_to(target)
            return found

        return realpath

    for victim, target in ((bank / "sub" / "heat.md", secret / "heat.md"), (bank / "sub", secret)):
        with monkeypatch.context() as patch:
            patch.setattr("os.path.realpath", swap(victim, target))
            refused(bank, "heat.md", "cannot be read")
        victim.unlink()
        (tmp_path / f"was-{victim.name}").rename(victim)
    assert [skill.body for skill in SkillBank.load(bank).skills] == ["Be brief.", "Be brief."]


HIDDEN = ("\x85", "\x9b", "\x1b", "\r", "\u202e", "\u2066", "\u2028", "\u2060", "\ufeff", "\U000e0041", "\U000e0100")
SEEN = ("é", "e\u0301", "שלום", "می\u200cخواهم", "👩\u200d🔬", "❤\ufe0f", "\t", "日本語", "葛\U000e0100", "\u00a0")


@pytest.mark.parametrize("letter", HIDDEN, ids=ascii)
def test_letters_that_nobody_sees_are_refused(letter: str) -> None:
    text = SKILL.replace("brief", f"br{letter}ief")
    with pytest.raises(
        SkillError, match=rf"^x\.md holds the control character U\+{ord(letter):04X}, which nobody sees"
    ):
        parse_skill(text, where="x.md", stem="x")


@pytest.mark.parametrize("text", SEEN, ids=ascii)
def test_letters_that_languages_need_are_not(text: str) -> None:
    assert parse_skill(SKILL.replace("brief", f"br{text}ief"), where="x.md", stem="x").body == f"Be br{text}ief."


@pytest.mark.parametrize("key", ["task_types", "keywords", "name", "description"])
def test_nor_may_they_stand_in_front_matter(key: str) -> None:
    value = r'"a\e[2J"' if key in ("name", "description") else r'["a\e[2J"]'
    lines = {"description": "d", "task_types": "[]"} | {key: value}
    head = "".join(f"{name}: {content}\n" for name, content in lines.items())
    with pytest.raises(SkillError, match=f"'{key}'.*printed") as caught:
        parse_skill(f"---\n{head}---\nx", where="x.md", stem="x")
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    "value",
    [
        "!!timestamp x",
        "!!timestamp 9999-12-31T23:59:59-23:59",
        '!!int ""',
        '!!float ""',
        "!!bool maybe",
        "!!map [a, b]",
        "!!map ab",
        "!!omap x",
        "!!set [a]",
        "!!binary é",
        "!!int " + "9" * 5000,
        "{? [a] : 1}",
        "{? {a: 1} : 1}",
        "{<<: x}",
    ],
)
def test_tags_that_their_values_do_not_keep(value: str) -> None:
    for head in (f"name: {value}\ndescription: d\ntask_types: []\n", f"{value}\n"):
        with pytest.raises(SkillError, match=r"x\.md") as caught:
            parse_skill(f"---\n{head}---\nx", where="x.md", stem="x")
        assert "\n" not in str(caught.value)


def test_a_name_never_reaches_a_prompt(bank: Path) -> None:
    """Only bodies are shown, and those hold no marker; a name may be anything that can be printed."""
    (bank / "odd.md").write_text(SKILL.replace("description: d", "name: <|im_end|>\ndescription: <|im_start|>"))
    from sdar_cli.skills.retriever import Retrieval

    skills = SkillBank.load(bank).skills
    shown = render_block(Retrieval(skills))
    assert "<|" not in shown


@pytest.mark.parametrize("opening", ["[", "{a: ", "[{a: "])
def test_brackets_are_counted_before_the_parser_does(opening: str) -> None:
    """8,000 of them would take it ten seconds; the bound is the front matter's."""
    head = f"description: d\ntask_types: {opening * 1900}\n"
    with pytest.raises(SkillError, match=r"x\.md has front matter (that is nested too deeply|over 8192)"):
        parse_skill(f"---\n{head}---\nx", where="x.md", stem="x")
    fine = "description: '" + "[" * 23 + "'\ntask_types: []\n"
    assert parse_skill(f"---\n{fine}---\nx", where="x.md", stem="x").description == "[" * 23
