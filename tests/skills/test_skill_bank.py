"""Banks: folders and texts, their digest, and which bank a recipe means."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest

from sdar_cli.errors import SkillError
from sdar_cli.recipe.schema import Skills
from sdar_cli.skills import SkillBank, bank_for
from sdar_cli.skills import files as bank_files
from sdar_cli.skills.skill import MAX_FILE_BYTES


def skill(task_types: str = "[]", body: str = "Be brief.", name: str | None = None) -> str:
    named = f"name: {name}\n" if name else ""
    return f"---\n{named}description: d\ntask_types: {task_types}\n---\n{body}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "bank"
    (root / "heating").mkdir(parents=True)
    (root / "zeal.md").write_text(skill())
    (root / "heating" / "heat.md").write_text(skill("[heat]", "Use the kettle."))
    (root / "README.md").write_text("Not a skill.")
    (root / "notes.txt").write_text("Not a skill either.")
    return root


def test_folder_and_texts_give_the_same_bank(folder: Path) -> None:
    loaded = SkillBank.load(folder)
    made = SkillBank.from_texts({"heat.md": skill("[heat]", "Use the kettle."), "zeal": skill()}, name="bank")
    assert [s.name for s in loaded.skills] == ["heat", "zeal"]
    assert loaded == made
    assert loaded.task_types == ("heat",)


def test_digest_follows_content_not_names_of_files_or_folders(folder: Path) -> None:
    digest = SkillBank.load(folder).digest
    (folder / "zeal.md").rename(folder / "other.md")
    (folder / "other.md").write_text(skill(name="zeal"))
    moved = folder.rename(folder.with_name("elsewhere"))
    assert SkillBank.load(moved).digest == digest
    (moved / "other.md").write_text(skill(name="zeal", body="Be very brief."))
    assert SkillBank.load(moved).digest != digest


def test_get_suggests_the_nearest_name(folder: Path) -> None:
    bank = SkillBank.load(folder)
    assert bank.get("heat").body == "Use the kettle."
    with pytest.raises(SkillError, match=r"bank 'bank' has no skill 'haet': did you mean 'heat'\?"):
        bank.get("haet")
    with pytest.raises(SkillError, match="it has heat, zeal"):
        bank.get("qqq")


def test_two_skills_of_one_name_are_refused(folder: Path) -> None:
    (folder / "again.md").write_text(skill(name="heat"))
    with pytest.raises(SkillError, match=r"again\.md and .*heat\.md share the name 'heat'"):
        SkillBank.load(folder)


def test_missing_empty_and_unreadable(tmp_path: Path) -> None:
    with pytest.raises(SkillError, match="is not a folder"):
        SkillBank.load(tmp_path / "nowhere")
    with pytest.raises(SkillError, match="holds no markdown file"):
        SkillBank.load(tmp_path)
    with pytest.raises(SkillError, match="is empty"):
        SkillBank.from_texts({})
    (tmp_path / "bad.md").write_bytes(b"---\nname: \xff\n---\nx")
    with pytest.raises(SkillError, match=r"bad\.md is not UTF-8 at byte 10"):
        SkillBank.load(tmp_path)


def test_link_out_of_the_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "secret.md"
    outside.write_text(skill(name="secret"))
    (folder / "link.md").symlink_to("../secret.md")
    with pytest.raises(SkillError, match=r"link\.md is a link that leaves the bank's folder"):
        SkillBank.load(folder)
    (folder / "link.md").unlink()
    (folder / "inside").symlink_to(tmp_path)
    with pytest.raises(SkillError, match="inside is a link to a folder"):
        SkillBank.load(folder)


def test_link_inside_and_a_bank_that_is_itself_a_link(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(folder)
    assert SkillBank.load(tmp_path / "alias") == SkillBank.load(folder)


def test_dangling_link_is_refused(folder: Path) -> None:
    (folder / "gone.md").symlink_to("nothing.md")
    with pytest.raises(SkillError, match=r"gone\.md does not exist: put a readable file there"):
        SkillBank.load(folder)


def test_limits(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "long.md").write_bytes(b"x" * (MAX_FILE_BYTES + 1))
    with pytest.raises(SkillError, match=r"long\.md is larger than 64 KiB"):
        SkillBank.load(folder)
    (folder / "long.md").unlink()
    monkeypatch.setattr(bank_files, "MAX_FILES", 1)
    with pytest.raises(SkillError, match="more than 1 skills"):
        SkillBank.load(folder)


def environment(texts: Mapping[str, str] | None, skills: Path | None) -> SimpleNamespace:
    return SimpleNamespace(name="toy", describe_skills=lambda: texts, skills=skills)


def test_bank_for_prefers_the_recipe_then_the_generated_then_the_folder(folder: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "mine.md").write_text(skill())
    texts = {"generated": skill()}
    assert bank_for(Skills(bank=str(own)), environment(texts, folder)).name == "own"
    generated = bank_for(Skills(), environment(texts, folder))
    assert (generated.name, generated.skills[0].name) == ("toy", "generated")
    assert bank_for(Skills(), environment(None, folder)) == SkillBank.load(folder, name="toy")
    with pytest.raises(SkillError, match=r"'toy' brings no skills: set skills\.bank"):
        bank_for(Skills(), environment(None, None))
