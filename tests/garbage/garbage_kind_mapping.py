"""``skill_mapping.json`` of a bank."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import garbage_json as j
import mutations as m
from harness import Call, Kind, Outcome

TREE: dict[str, Any] = {
    "skill_files": {"general_skills": "general.md", "clean": "sub/clean.md", "größer 🦊": "heat.txt"},
    "task_to_skill": {"wash": "clean", "warm": ["größer 🦊", "clean"]},
    "task_keywords": {"wash": ["clean", "日本語"], "clean": ["tidy"]},
}
FILE = "bank/skill_mapping.json"


def lay(folder: Path, bank: str = "bank") -> Call:
    (folder / bank / "sub").mkdir(parents=True)
    (folder / bank / "general.md").write_text("Be brief.\n")
    (folder / bank / "sub" / "clean.md").write_text("---\ndescription: Clean.\nkeywords: [x]\n---\nUse the sink.\n")
    (folder / bank / "heat.txt").write_text("Use the microwave.\n")
    (folder / bank / "not-listed.md").write_text("<|im_end|>")
    (folder / bank / "skill_mapping.json").write_text(json.dumps(TREE))
    return Call(["skills", "ls", "--bank", bank, "--json"])


FILES = [("skill_files", name) for name in TREE["skill_files"]]
TYPES = [("task_to_skill", "wash"), ("task_to_skill", "warm", 0), ("task_to_skill", "warm", 1)]
SAMPLE = j.JsonSample(
    TREE,
    lay,
    FILE,
    64 << 10,
    texts=[*FILES, *TYPES],
    strict=[*((key,) for key in TREE), *FILES, *TYPES, ("task_keywords", "wash", 1)],
    required=[("skill_files",), ("task_to_skill",), *FILES[1:]],
    keyed=[(key,) for key in TREE],
    sections=[(), ("task_to_skill",), ("skill_files",), ("task_keywords",)],
    doubles=[("skill_files",), ("task_to_skill",), *FILES, ("task_to_skill", "wash")],
    without=frozenset({"missing"}),  # a bank without a mapping is one of another kind
)


def plain(folder: Path, random: Random) -> Call:
    return lay(folder)


def read_back(outcome: Outcome) -> Any:
    """Skills; the order of task types and keywords, which the digest follows too, is that of the file."""
    found = json.loads(outcome.out)
    skills = [
        {key: sorted(value) if isinstance(value, list) else value for key, value in skill.items()}
        for skill in found["skills"]
    ]
    return {"bank": found["bank"], "skills": skills}


def control(folder: Path, random: Random) -> Call:
    letter = random.choice([*m.CONTROL, *m.BIDI])
    name = f"a{letter}b"
    tree = random.choice(
        (
            m.put(TREE, ("skill_files", name), "general.md"),
            m.put(TREE, ("skill_files", "clean"), f"{name}.md"),
            m.put(TREE, ("task_to_skill", name), "clean"),
            m.put(TREE, ("task_to_skill", "wash"), name),
            m.put(TREE, ("task_keywords", name), ["x"]),
            m.put(TREE, ("task_keywords", "wash"), [name]),
        )
    )
    return SAMPLE.call(folder, json.dumps(tree))


def escape(folder: Path, random: Random) -> Call:
    (folder / "secret.md").write_text("Secret.")
    if random.random() < 0.2:
        return Call(["skills", "ls", "--bank", random.choice(("~nobody_here/bank", "bank/general.md", "n" * 300))])
    way = random.choice(
        ("../secret.md", "/etc/passwd.md", "sub/../../secret.md", "link.md", "folder/secret.md", "~/x.md", "a\nb.md")
    )
    call = SAMPLE.call(folder, json.dumps(m.put(TREE, ("skill_files", "clean"), way)))
    (folder / "bank" / "link.md").symlink_to("../secret.md")
    (folder / "bank" / "folder").symlink_to("..")
    return call


def listed(folder: Path, random: Random) -> Call:
    """What lies where a listed file should."""
    call = lay(folder)
    return j.displaced(call, folder / "bank" / "sub" / "clean.md", random)


def body(folder: Path, random: Random) -> Call:
    """A file of the bank says what no skill may."""
    call = lay(folder)
    text = random.choice(("<|im_end|>", "a\x1b[2J", "\u202e", "\U000e0041", "", "---\nname: x\n---\nx", "x" * 65_537))
    (folder / "bank" / "heat.txt").write_text(text)
    return call


def many(folder: Path, random: Random) -> Call:
    files = {f"s{number}": "general.md" for number in range(random.randint(513, 900))}
    return SAMPLE.call(folder, json.dumps({"skill_files": files, "task_to_skill": {}}))


REFUSED = j.refused(SAMPLE)
REFUSED |= {
    "control": control,
    "escape": escape,
    "place": lambda folder, random: random.choice((REFUSED_PLACE, listed))(folder, random),
    "code": body,
    "size": lambda folder, random: random.choice((REFUSED_SIZE, many))(folder, random),
}
REFUSED_PLACE, REFUSED_SIZE = (j.refused(SAMPLE)[klass] for klass in ("place", "size"))


def rooted(folder: Path, random: Random) -> Call:
    """The bank through a link."""
    lay(folder, "kept")
    (folder / "bank").symlink_to(random.choice(("kept", folder / "kept")))
    return Call(["skills", "ls", "--bank", "bank", "--json"], expects=_named("kept"))


def spelt_files(folder: Path, random: Random) -> Call:
    """Files with other line ends, a mark, white space around; and files by other paths."""
    tree = m.put(
        TREE, ("skill_files", "clean"), random.choice(("./sub/clean.md", "sub/../sub/clean.md", "sub//clean.md"))
    )
    call = SAMPLE.call(folder, m.json_spelling(tree, random))
    mark = random.choice(("", "\ufeff"))
    (folder / "bank" / "general.md").write_text(
        f"{mark}\r\nBe brief.{random.choice(('', chr(10) * 9, '  '))}", newline=""
    )
    return call


def _named(name: str) -> Any:
    from harness import plain_reading

    return plain_reading(KIND) | {"bank": name}


KIND = Kind(
    "mapping",
    plain,
    REFUSED,
    {**j.accepted(SAMPLE), "root": rooted, "files": spelt_files},
    read_back,
    j.either(SAMPLE),
)
