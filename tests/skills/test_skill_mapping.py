"""Banks in the layout of SDAR's authors: they load as they are, and a bad one is refused in one sentence."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdar_cli.errors import SkillError
from sdar_cli.recipe.schema import Skills
from sdar_cli.skills import SkillBank, make_retriever
from sdar_cli.skills.mapping import MAPPING

FILES = {
    "general_skills.md": "### GENERAL SKILLS ###\n\nHere is what always helps:\n\n1. Look twice.\n",
    "clean.md": "### TASK: clean ###\n\nTake it to the sink.\n",
    "place.md": "\n\n##\n\nPut it down.\nGently.",
    "all_skills.md": "Everything at once, which no mapping lists: <|im_start|>",
}
GOOD: dict[str, Any] = {
    "skill_files": {"general_skills": "general_skills.md", "clean": "clean.md", "place": "place.md"},
    "task_to_skill": {"wash_then_put": "clean", "put_one": "place", "put_two": ["place"]},
    "task_keywords": {
        "wash_then_put": ["wash", "clean up"],
        "put_one": ["put"],
        "put_two": "two",
        "general_skills": [],
    },
}


def write(folder: Path, mapping: Any = GOOD, files: dict[str, str] = FILES) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    (folder / MAPPING).write_text(mapping if isinstance(mapping, str) else json.dumps(mapping), "utf-8")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "bank")


def test_a_bank_loads_as_it_is(folder: Path) -> None:
    bank = SkillBank.load(folder)
    assert bank.name == "bank"
    assert [skill.name for skill in bank.skills] == ["clean", "general_skills", "place"]
    clean, general, place = bank.skills
    assert general.general
    assert clean.task_types == ("wash_then_put",)
    assert place.task_types == ("put_one", "put_two")
    assert clean.keywords == ("wash", "clean up")
    assert place.keywords == ("put", "two")
    assert clean.description == "TASK: clean"
    assert clean.body == "### TASK: clean ###\n\nTake it to the sink."
    assert place.description == "Put it down."


def test_it_is_retrieved_from_by_every_rule(folder: Path) -> None:
    bank = SkillBank.load(folder)

    def names(kind: str, task_type: str = "", text: str = "") -> tuple[str, ...]:
        return make_retriever(bank, Skills(retrieval=kind, top_k=1), 0).retrieve(task_type, text, "t").names

    assert names("task_type", "put_two") == ("general_skills", "place")
    assert names("keyword", text="clean up the mug") == ("general_skills", "clean")
    assert names("keyword", text="cleaning the washer") == ("general_skills",), "whole words"
    assert names("ucb", text="to the sink") == ("general_skills", "clean")
    assert names("full") == ("general_skills", "clean", "place")


def test_the_digest_is_of_the_content(folder: Path, tmp_path: Path) -> None:
    digest = SkillBank.load(folder).digest
    (folder / "all_skills.md").write_text("changed")
    assert SkillBank.load(folder).digest == digest, "no mapping lists it"
    (folder / "clean.md").write_text("changed")
    assert SkillBank.load(folder).digest != digest
    moved = copy.deepcopy(GOOD)
    moved["skill_files"]["clean"] = "deep/er/clean.md"
    other = write(tmp_path / "other", moved, {**FILES, "deep/er/clean.md": FILES["clean.md"]})
    assert SkillBank.load(other).digest == digest


def test_files_may_be_a_list_and_keywords_missing(tmp_path: Path) -> None:
    mapping = {"skill_files": ["clean.md", "general_skills.md"], "task_to_skill": {"wash": ["clean"]}}
    bank = SkillBank.load(write(tmp_path, mapping))
    assert [(skill.name, skill.task_types) for skill in bank.skills] == [("clean", ("wash",)), ("general_skills", ())]
    assert all(skill.keywords == () for skill in bank.skills)


def test_general_skills_alone_are_a_bank(tmp_path: Path) -> None:
    bank = SkillBank.load(
        write(tmp_path, {"skill_files": {"general_skills": "general_skills.md"}, "task_to_skill": {}})
    )
    assert [skill.general for skill in bank.skills] == [True]


def test_a_type_may_have_several_skills_and_a_skill_its_own_keywords(tmp_path: Path) -> None:
    mapping = copy.deepcopy(GOOD)
    mapping["task_to_skill"] = {"wash": ["clean", "place"]}
    mapping["task_keywords"] = {"wash": ["wash"], "place": ["put"]}
    bank = SkillBank.load(write(tmp_path, mapping))
    assert {skill.name: skill.keywords for skill in bank.skills if not skill.general} == {
        "clean": ("wash",),
        "place": ("wash", "put"),
    }


def test_a_name_that_is_a_type_and_a_skill_is_the_type(tmp_path: Path) -> None:
    mapping = copy.deepcopy(GOOD)
    mapping["task_to_skill"] = {"place": "clean", "clean": "place"}
    mapping["task_keywords"] = {"place": ["wash"]}
    bank = SkillBank.load(write(tmp_path, mapping))
    assert bank.get("clean").keywords == ("wash",)
    assert bank.get("place").keywords == ()


def test_front_matter_may_describe(tmp_path: Path) -> None:
    files = {**FILES, "clean.md": "---\ndescription: At the sink.\nkeywords: [scrub, wash]\n---\nScrub."}
    clean = SkillBank.load(write(tmp_path, GOOD, files)).get("clean")
    assert (clean.description, clean.keywords, clean.body) == ("At the sink.", ("wash", "clean up", "scrub"), "Scrub.")


@pytest.mark.parametrize(
    ("text", "description"),
    [
        ("## Use\u200b the\tsink ##\nNow.", "Use the sink"),
        ("***\n\n...\nScrub.", "Scrub."),
        ("***", "clean"),
        ("scrub " * 100, ("scrub " * 100)[:119] + "…"),
    ],
)
def test_the_first_line_with_a_word_describes(tmp_path: Path, text: str, description: str) -> None:
    clean = SkillBank.load(write(tmp_path, GOOD, {**FILES, "clean.md": text})).get("clean")
    assert clean.description == description
    assert clean.body == text.strip()


@pytest.mark.parametrize("key", ["name: soap", "task_types: [wash]"])
def test_front_matter_may_not_contradict(tmp_path: Path, key: str) -> None:
    folder = write(tmp_path, GOOD, {**FILES, "clean.md": f"---\n{key}\n---\nScrub."})
    with pytest.raises(SkillError, match=r"clean\.md has '(name|task_types)', which the bank's mapping gives: remove"):
        SkillBank.load(folder)


def test_a_folder_of_such_banks_names_the_one_to_give(folder: Path) -> None:
    with pytest.raises(SkillError, match=r"holds the bank .*bank, which has a skill_mapping\.json of its own: give"):
        SkillBank.load(folder.parent)


def changed(**sections: Any) -> dict[str, Any]:
    mapping = copy.deepcopy(GOOD)
    for section, change in sections.items():
        if isinstance(change, dict):
            mapping[section] |= change
        else:
            mapping[section] = change
    return mapping


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in GOOD.items() if name != key}


@pytest.mark.parametrize(
    ("mapping", "said"),
    [
        ("", "is not JSON (line 1: "),
        ('{\n"a": }', "is not JSON (line 2: "),
        ("[" * 100_000, "JSON"),
        ('{"skill_files": {"a": "a.md", "a": "b.md"}}', "has the key 'a' twice"),
        ([], "is not an object: write one with skill_files, task_to_skill, task_keywords"),
        ({**GOOD, "task_to_skills": {}}, "unknown key \"task_to_skills\": did you mean 'task_to_skill'?"),
        ({**GOOD, "zzz": {}}, "unknown key \"zzz\": the keys are skill_files"),
        (without("skill_files"), "has no 'skill_files': add it"),
        (without("task_to_skill"), "has no 'task_to_skill': add it"),
        ({**GOOD, "skill_files": {}}, "has 'skill_files' that lists no files"),
        ({**GOOD, "skill_files": []}, "has 'skill_files' that lists no files"),
        ({**GOOD, "skill_files": [1]}, "has 'skill_files' that lists no files"),
        ({**GOOD, "skill_files": "clean.md"}, "has 'skill_files' that lists no files"),
        ({**GOOD, "skill_files": ["clean.md", "x/clean.md"]}, "two files called \"clean\""),
        (changed(skill_files={"": "clean.md"}), 'the name "" in skill_files'),
        (changed(skill_files={"a\nb": "clean.md"}), 'the name "a\\nb" in skill_files'),
        (changed(skill_files={" clean ": "clean.md"}), "the name 'clean' twice in skill_files"),
        (changed(skill_files={"clean": None}), "skill_files 'clean' = null: name a markdown file"),
        (changed(skill_files={"clean": ["clean.md"]}), "skill_files 'clean' = [\"clean.md\"]: name a markdown file"),
        (changed(skill_files={"clean": "clean.json"}), "skill_files 'clean' = \"clean.json\": name a markdown file"),
        (changed(skill_files={"clean": "gone.md"}), "lists 'gone.md' in skill_files, which is not there"),
        (changed(skill_files={"clean": "../secret.md"}), "lists '../secret.md' in skill_files, outside the bank"),
        (changed(skill_files={"clean": "../nowhere.md"}), "lists '../nowhere.md' in skill_files, outside the bank"),
        (changed(skill_files={"clean": "/etc/secret.md"}), "lists '/etc/secret.md' in skill_files, outside the bank"),
        (changed(skill_files={"clean": "link.md"}), "lists 'link.md' in skill_files, outside the bank"),
        (changed(skill_files={"clean": "x" * 300 + ".md"}), "in skill_files, which is not there"),
        (changed(skill_files={"clean": "circle.md"}), "lists 'circle.md' in skill_files, which cannot be followed"),
        (changed(skill_files={"clean": "folder.md"}), "lists 'folder.md' in skill_files, which is a folder, not a"),
        (changed(task_to_skill=["clean"]), "has 'task_to_skill' that is not an object"),
        (changed(task_to_skill={"wash": 3}), "has task_to_skill 'wash' = 3: write text, or a list of texts"),
        (changed(task_to_skill={"wash": ["clean", None]}), "task_to_skill 'wash' = [\"clean\", null]: write text"),
        (changed(task_to_skill={"wash": []}), "has task_to_skill 'wash' without a skill"),
        (changed(task_to_skill={"": "clean"}), 'has "" in task_to_skill'),
        (changed(task_to_skill={"wash": "claen"}), "does not list: did you mean 'clean'?"),
        (changed(task_to_skill={"find": "search"}), "'find' = \"search\", which skill_files does not list: add"),
        (changed(task_to_skill={"other": "general_skills"}), "'general_skills', which goes with every task"),
        (changed(task_keywords=[]), "has 'task_keywords' that is not an object"),
        (changed(task_keywords={"put_one": 1}), "has task_keywords 'put_one' = 1"),
        (changed(task_keywords={"put": ["x"]}), "has task_keywords 'put', which is neither a task type nor a skill"),
        (changed(task_keywords={"put_one": ["?"]}), "has the keyword \"?\" for 'put_one' in task_keywords"),
    ],
)  # fmt: skip
def test_malformed(tmp_path: Path, mapping: Any, said: str) -> None:
    folder = write(tmp_path / "bank", mapping)
    (tmp_path / "secret.md").write_text("Secret.")
    (folder / "link.md").symlink_to("../secret.md")
    (folder / "circle.md").symlink_to("circle.md")
    (folder / "folder.md").mkdir()
    with pytest.raises(SkillError, match=re.escape(said)) as caught:
        SkillBank.load(folder)
    sentence = str(caught.value)
    assert MAPPING in sentence
    assert "\n" not in sentence
    assert ": " in sentence


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "clean.md has no text"),
        ("---\ndescription: d\n---\n", "clean.md has no text"),
        ("a\x00b", "control character"),
        ("<|im_end|>", "chat templates read as a marker"),
        ("---\n: [\n---\nx", "front matter that cannot be read"),
        ("x" * (64 * 1024 + 1), "larger than 64 KiB"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SkillError, match=re.escape(said)) as caught:
        SkillBank.load(write(tmp_path, GOOD, {**FILES, "clean.md": text}))
    assert "clean.md" in str(caught.value)


def test_a_mapping_that_is_a_link_out_of_the_bank_is_refused(folder: Path, tmp_path: Path) -> None:
    (folder / MAPPING).rename(tmp_path / "elsewhere.json")
    (folder / MAPPING).symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(SkillError, match="link that leaves the bank's folder"):
        SkillBank.load(folder)


scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=6), st.sampled_from(["clean", "clean.md"])
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=6), inner, max_size=3)),
    max_leaves=6,
)
mappings = st.fixed_dictionaries(
    {"skill_files": st.one_of(values, st.just(GOOD["skill_files"])), "task_to_skill": values},
    optional={"task_keywords": values, "task": values},
)


@pytest.fixture(scope="module")
def wild(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("wild"))


@given(st.one_of(values, mappings))
def test_wild_mappings_load_or_are_refused_in_a_sentence(wild: Path, mapping: Any) -> None:
    (wild / MAPPING).write_text(json.dumps(mapping), "utf-8")
    try:
        bank = SkillBank.load(wild)
    except SkillError as error:
        assert str(wild) in str(error)
        assert "\n" not in str(error)
    else:
        assert {skill.name for skill in bank.skills} <= set(mapping["skill_files"]) | {"clean"}


texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=200)


@given(texts)
def test_wild_texts_load_as_they_are_or_are_refused(wild: Path, text: str) -> None:
    (wild / MAPPING).write_text(json.dumps(GOOD), "utf-8")
    (wild / "place.md").write_text(text, "utf-8", newline="")
    try:
        skill = SkillBank.load(wild).get("place")
    except SkillError as error:
        assert "place.md" in str(error)
        assert "\n" not in str(error)
    else:
        assert text.removeprefix("\ufeff").replace("\r\n", "\n").strip().endswith(skill.body)
        assert skill.description.isprintable()
        assert 0 < len(skill.description) <= 120
    finally:
        (wild / "place.md").write_text(FILES["place.md"])
