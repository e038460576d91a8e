"""An import is whole or not there, goes on after a kill, and mixes no two sets of files."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from webshop_files import entry, imported, record, write, written

from sdar_cli.errors import EnvironmentSetupError
from sdar_envs.webshop import batches, importing
from sdar_envs.webshop.catalogue_files import write_files
from sdar_envs.webshop.catalogue_items import Catalogue
from sdar_envs.webshop.importing import import_store
from sdar_envs.webshop.json_files import find_sources
from sdar_envs.webshop.store import Store


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("catalogue")
    write_files(Catalogue(120, 5), folder)
    return folder


@pytest.fixture(scope="module")
def whole(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What an import that nobody disturbs makes of ``source``."""
    store = tmp_path_factory.mktemp("whole") / "store"
    import_store(source, store)
    return content(store)


def content(folder: Path) -> dict[str, Any]:
    """All that is in a store."""
    store = Store.open(folder)
    rows = {
        table: store.database.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()
        for table in ("products", "synthetic", "human")
    }
    index = {file.name: file.read_bytes() for file in (folder / "index").iterdir()}
    found = {"digest": store.digest, "counts": store.manifest.counts, **rows, **index}
    store.check()
    store.close()
    return found


class Stop(BaseException):
    """Ends an import from within a report of its progress, as Ctrl-C does."""


def stopped_after(source: Path, folder: Path, reports: int) -> bool:
    """Import until so many reports of progress were given; whether it was stopped before its end."""
    seen = 0

    def report(*_: int) -> None:
        nonlocal seen
        seen += 1
        if seen > reports:
            raise Stop

    try:
        import_store(source, folder, report, report)
    except Stop:
        return True
    return False


def test_stopped_anywhere_it_goes_on(
    source: Path, whole: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sdar_envs.bm25 import building
    from sdar_envs.webshop import json_files

    monkeypatch.setattr(batches, "BATCH", 7)
    monkeypatch.setattr(json_files, "_CHUNK", 8192)
    monkeypatch.setattr(building, "REPORT_EVERY", 40)
    stops = 0
    while stopped_after(source, tmp_path / "store", 3 + stops):
        stops += 1
        assert [path.name for path in tmp_path.iterdir()] == ["store.draft"]
    assert stops > 10
    assert content(tmp_path / "store") == whole
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_what_was_committed_is_not_read_into_the_store_again(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sdar_envs.webshop import import_products

    monkeypatch.setattr(batches, "BATCH", 10)
    cleaned: list[str] = []
    clean = import_products.read_product

    def counting(record: dict[str, Any], found: Any) -> Any:
        if len(cleaned) == 45:
            raise Stop
        cleaned.append(record["asin"])
        return clean(record, found)

    monkeypatch.setattr(import_products, "read_product", counting)
    with pytest.raises(Stop):
        import_store(source, tmp_path / "store")
    cleaned.append("stopped here")
    import_store(source, tmp_path / "store")
    # 40 of the 45 were committed
    assert cleaned[46:] == [row["asin"] for row in json.loads((source / "items_shuffle.json").read_text())[40:]]


KILLED = """
import os, signal, sys
from pathlib import Path
from sdar_envs.webshop import batches, import_products
from sdar_envs.webshop.importing import import_store
batches.BATCH = 10
clean, seen = import_products.read_product, []
def read_product(record, found):
    seen.append(record)
    if len(seen) == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
    return clean(record, found)
import_products.read_product = read_product
import_store(Path(sys.argv[1]), Path(sys.argv[2]))
"""


def test_killed_it_goes_on(source: Path, whole: dict[str, Any], tmp_path: Path) -> None:
    for record_number in ("3", "57"):
        command = [sys.executable, "-c", KILLED, str(source), str(tmp_path / "store"), record_number]
        assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
        assert not (tmp_path / "store").exists()
        with pytest.raises(EnvironmentSetupError, match="was not finished: run the same `sdar data webshop --from"):
            Store.open(tmp_path / "store")
    import_store(source, tmp_path / "store")
    assert content(tmp_path / "store") == whole


def test_a_draft_of_other_files_is_not_gone_on_with(source: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(source, copy)
    assert stopped_after(copy, tmp_path / "store", 3)
    write_files(Catalogue(90, 6), copy)
    import_store(copy, tmp_path / "store")
    import_store(copy, tmp_path / "clean")
    assert content(tmp_path / "store") == content(tmp_path / "clean")


def test_files_that_change_meanwhile(source: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(source, copy)

    def touch(*_: int) -> None:
        os.utime(copy / "items_ins_v2.json", (1, 1))

    with pytest.raises(EnvironmentSetupError, match="changed meanwhile: import them again"):
        import_store(copy, tmp_path / "store", None, touch)
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


def test_the_same_files_again_change_nothing(source: Path, tmp_path: Path) -> None:
    import_store(source, tmp_path / "store")
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "store").rglob("*")}
    copy = tmp_path / "copy"
    shutil.copytree(source, copy)
    os.utime(copy / "items_shuffle.json", (5, 5))
    import_store(source, tmp_path / "store")
    import_store(copy, tmp_path / "store")
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "store").rglob("*")} == before


def test_another_import_is_never_written_over(source: Path, tmp_path: Path) -> None:
    store = imported(tmp_path)
    store.close()
    with pytest.raises(EnvironmentSetupError, match="holds an import of other files: remove it, or name another"):
        import_store(source, tmp_path / "store")
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter").write_text("one")
    with pytest.raises(EnvironmentSetupError, match="holds something else than a store: name another folder"):
        import_store(source, tmp_path / "thesis")
    assert (tmp_path / "thesis" / "chapter").read_text() == "one"
    (tmp_path / "empty").mkdir()
    import_store(source, tmp_path / "empty")
    assert len(Store.open(tmp_path / "empty")) == 120


def test_two_imports_at_a_time(source: Path, tmp_path: Path) -> None:
    (tmp_path / "store.draft").mkdir()
    descriptor = os.open(tmp_path / "store.draft", os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with pytest.raises(EnvironmentSetupError, match=r"another process is importing into .*store\.draft: wait"):
            import_store(source, tmp_path / "store")
    finally:
        os.close(descriptor)
    import_store(source, tmp_path / "store")


def test_a_full_disk_keeps_the_draft(
    source: Path, whole: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(batches, "BATCH", 50)
    with monkeypatch.context() as patched:
        patched.setattr(importing, "write_manifest", full)
        with pytest.raises(EnvironmentSetupError, match=r"cannot be written \(database or disk is full\): make room"):
            import_store(source, tmp_path / "store")
    assert [path.name for path in tmp_path.iterdir()] == ["store.draft"]
    import_store(source, tmp_path / "store")
    assert content(tmp_path / "store") == whole


def test_a_place_that_cannot_be_written(source: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentSetupError, match=r"cannot be written .*: make room or name another folder"):
        import_store(source, tmp_path / "file" / "store")


def test_progress_counts_bytes_then_products(source: Path, tmp_path: Path) -> None:
    read: list[tuple[int, int]] = []
    indexed: list[tuple[int, int]] = []
    import_store(source, tmp_path / "store", lambda *at: read.append(at), lambda *at: indexed.append(at))
    total = sum(file.stat().st_size for file in source.iterdir())
    assert [done for done, _ in read] == sorted(done for done, _ in read)
    assert read[-1] == (total, total)
    assert indexed[-1] == (120, 120)


def test_the_digest_is_of_the_content(tmp_path: Path) -> None:
    def digest(name: str, *contents: Any) -> str:
        store = imported(tmp_path / name, *contents)
        store.close()
        return store.digest

    plain = digest("plain")
    spaced = json.dumps([{"new": 1, **record()}], indent=3)
    assert digest("spaced", spaced, json.dumps({"B000000001": entry(), "B9": entry()}, indent=1)) == plain
    others = {
        "name": ([record(name="Other")],),
        "order": ([record("B2"), record()],),
        "instruction": (None, {"B000000001": entry(instruction="buy a scarf")}),
        "human": (None, None, {"B000000001": [written(instruction="buy a scarf")]}),
        "no human": (None, None, {}),
    }
    digests = [digest(name, *contents) for name, contents in others.items()]
    assert len({plain, *digests}) == 1 + len(others)


def test_files_are_found(tmp_path: Path) -> None:
    both = write(write(tmp_path / "both"), suffix="_1000")
    with pytest.raises(EnvironmentSetupError, match=r"items_shuffle\.json and items_shuffle_1000\.json: name the prod"):
        find_sources(both)
    for suffix in ("", "_1000"):
        sources = find_sources(both / f"items_shuffle{suffix}.json")
        assert sources.instructions.name == f"items_ins_v2{suffix}.json"
    assert [file.name for file in sources.files] == [
        "items_ins_v2_1000.json",
        "items_human_ins.json",
        "items_shuffle_1000.json",
    ]
    (both / "items_ins_v2_1000.json").unlink()
    assert find_sources(both / "items_shuffle_1000.json").instructions.name == "items_ins_v2.json"
    (both / "items_human_ins.json").unlink()
    assert find_sources(both / "items_shuffle.json").human is None


@pytest.mark.parametrize(
    ("missing", "complaint"),
    [
        (None, "there is no .*nowhere: name the folder that holds"),
        ("items_shuffle.json", r"holds no items_shuffle\*\.json: fetch it"),
        ("items_ins_v2.json", r"holds no items_ins_v2\*\.json: fetch it"),
    ],
)
def test_a_missing_file_is_named(missing: str | None, complaint: str, tmp_path: Path) -> None:
    if missing is None:
        folder = tmp_path / "nowhere"
    else:
        folder = write(tmp_path / "source")
        (folder / missing).unlink()
    with pytest.raises(EnvironmentSetupError, match=complaint):
        import_store(folder, tmp_path / "store")


def test_without_peoples_instructions_there_are_none_of_their_goals(tmp_path: Path) -> None:
    source = write(tmp_path / "source")
    (source / "items_human_ins.json").unlink()
    import_store(source, tmp_path / "store")
    store = Store.open(tmp_path / "store")
    assert len(store.goals("human")) == 0
    assert len(store.goals()) == 2
    store.close()
