"""Files of a shop that nobody should have written: one sentence, and nothing of the user's is touched."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

from webshop_files import PLACES, entry, imported, record, refused, write

from sdar_cli.errors import EnvironmentSetupError
from sdar_envs.webshop import import_products, json_files
from sdar_envs.webshop.importing import import_store
from sdar_envs.webshop.json_text import HalfCharacters
from sdar_envs.webshop.store import Store


def not_imported(tmp_path: Path, *words: str) -> None:
    refused(lambda: import_store(tmp_path / "source", tmp_path / "new" / "store"), *words)
    assert [path.name for path in tmp_path.iterdir()] == ["source"], "not even the folders on the way"


# --- files ---


def options(count: int, values: int = 2) -> dict[str, Any]:
    return {f"o{number}": [{"value": str(value)} for value in range(values)] for number in range(count)}


@pytest.mark.parametrize("count", [20, 63, 64, 5000])
def test_options_that_explode(tmp_path: Path, count: int) -> None:
    write(tmp_path / "source", [record(customization_options=options(count)), record("B1")])
    not_imported(tmp_path, "record 1 (asin 'B000000001') has more than 1,000,000 choices of options")


def test_options_that_explode_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_products, "MOST_GOALS", 100)
    products = [record(f"B{number}", customization_options=options(6)) for number in range(3)]
    write(tmp_path / "source", products, {f"B{number}": entry() for number in range(3)})
    not_imported(tmp_path, "record 2 brings the choices of options to more than 100")


def test_many_choices_are_fine(tmp_path: Path) -> None:
    store = imported(tmp_path, [record(customization_options=options(19))])
    assert store.manifest.counts["synthetic_goals"] == 2**19
    assert store.goals()[2**19 - 1].options[-1] == ("o9", "1")
    store.close()


HALVES = (r"\ud800", r"\udfff", r"\uD83E", r"x\udc00y", r"\ud83e\ud83e\udde3", r"\ud83eudde3", r"\ud800\\udc00")
WHOLE = (r"\ud83e\udde3", r"\\ud800", r"\\\\ud800", r"\ud7ff", r"\ue000", r"\"\\\"ud8", r"\uD83E\uDDE3\n")


@pytest.mark.parametrize("text", HALVES)
@pytest.mark.parametrize("which", ["name", "key", "ignored", "instruction"])
def test_halves_of_characters(tmp_path: Path, text: str, which: str) -> None:
    files: list[Any] = [json.dumps([record(name="MARK" if which == "name" else "x", MORE="MORE")]), None]
    if which == "instruction":
        files[1] = json.dumps({"B000000001": entry(instruction="MARK")}).replace("MARK", text)
    files[0] = files[0].replace({"name": "MARK", "key": '"MORE":', "ignored": '"MORE"'}.get(which, "!"), "@@", 1)
    files[0] = files[0].replace("@@", {"name": text, "key": f'"{text}":', "ignored": f'"{text}"'}.get(which, ""))
    write(tmp_path / "source", *files)
    not_imported(tmp_path, "holds half of a surrogate pair (\\u")


@given(st.lists(st.sampled_from([*HALVES, *WHOLE, '", "', "é", "\\\\"]), max_size=8), st.integers(1, 20))
def test_halves_are_found_wherever_a_piece_ends(parts: list[str], piece: int) -> None:
    text = f'["{"".join(parts)}"]'
    try:
        json.dumps(json.loads(text), ensure_ascii=False).encode()
        good = True
    except UnicodeEncodeError:
        good = False
    content, found, halves = text.encode(), "", HalfCharacters()
    for start in range(0, len(content), piece):
        found = found or halves.find(content[start : start + piece])
    assert bool(found or halves.find(b"")) is not good


def test_a_record_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_files, "LARGEST_RECORD", 1 << 20)
    write(tmp_path / "source", [record("B0"), record(name="x" * (2 << 20))])
    not_imported(tmp_path, "MiB in one record, after record 1")


def test_long_names_are_cut_in_sentences(tmp_path: Path) -> None:
    write(tmp_path / "source", None, {"A" * 1_000_000: None})
    not_imported(tmp_path, f"asin '{'A' * 39}…' is null")


FILES = ("items_shuffle.json", "items_ins_v2.json", "items_human_ins.json")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", FILES)
def test_in_a_files_place(tmp_path: Path, name: str, place: str) -> None:
    make, complaint = PLACES[place]
    file = write(tmp_path / "source") / name
    shutil.copy(file, tmp_path / "elsewhere.json")
    file.unlink()
    make(file)
    refused(lambda: import_store(tmp_path / "source", tmp_path / "store"), str(file), complaint)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere.json", "source"]


def test_a_folder_that_is_a_link_is_read(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(write(tmp_path / "source"))
    inner = tmp_path / "source" / "kept"
    inner.mkdir()
    (tmp_path / "source" / FILES[0]).rename(inner / "x.json")
    (tmp_path / "source" / FILES[0]).symlink_to("kept/x.json")
    import_store(tmp_path / "link", tmp_path / "store")


def test_somebody_elses_folder_in_the_drafts_place_is_left_alone(tmp_path: Path) -> None:
    write(tmp_path / "source")
    mine = tmp_path / "store.draft"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    refused(lambda: import_store(tmp_path / "source", tmp_path / "store"), f"{mine} holds something else")
    assert (mine / "thesis.txt").read_text() == "years of work"
    mine.rename(tmp_path / "mine")
    mine.symlink_to(tmp_path / "mine")
    refused(lambda: import_store(tmp_path / "source", tmp_path / "store"))
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize("damage", [b"", b"SQLite format 3\0" + b"\xff" * 4000, b"x" * 4096])
@pytest.mark.parametrize("name", ["store.sqlite", "instructions.sqlite", "sources.json"])
def test_a_damaged_draft_does_not_stay_in_the_way(tmp_path: Path, damage: bytes, name: str) -> None:
    """At most one run complains; the next imports."""
    write(tmp_path / "source")

    class Stop(BaseException):
        pass

    def stop(*_: int) -> None:
        raise Stop

    with pytest.raises(Stop):
        import_store(tmp_path / "source", tmp_path / "store", None, stop)
    (tmp_path / "store.draft" / name).write_bytes(damage)
    try:
        import_store(tmp_path / "source", tmp_path / "store")
    except EnvironmentSetupError as error:
        assert "run the same command again" in str(error)
        import_store(tmp_path / "source", tmp_path / "store")
    Store.open(tmp_path / "store").check()
