"""The journal: a killed holder's lock is free, and half a line that it left does no harm."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdar_cli.errors import StudyError
from sdar_cli.sweep.claims import Ledger
from sdar_cli.sweep.journal_lock import JournalLock, cut_torn_line
from sdar_cli.sweep.processes import Claimant
from sdar_cli.sweep.storage import JOURNAL, open_storage

HOLD = """
import sys, time
from pathlib import Path
from sdar_cli.sweep.journal_lock import JournalLock
journal = Path(sys.argv[1])
JournalLock(journal).acquire()
with journal.open("ab") as file:
    file.write(b'{"op_code": 4, "worker_')
print("held", flush=True)
time.sleep(60)
"""


def make(folder: Path) -> tuple[Ledger, int]:
    from optuna.study import StudyDirection

    (folder / JOURNAL).touch()
    storage = open_storage(folder, None)
    study = storage.create_new_study([StudyDirection.MAXIMIZE], "runs")
    return Ledger(storage, study), study


def test_a_killed_holder_leaves_neither_its_lock_nor_half_a_line(tmp_path: Path) -> None:
    ledger, study = make(tmp_path)
    reader = Ledger(open_storage(tmp_path, None), study)
    ledger.claim(0, 0, Claimant.here())
    command = [sys.executable, "-c", HOLD, str(tmp_path / JOURNAL)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        assert len(reader.entries()) == 1
        writer = threading.Thread(target=lambda: ledger.claim(0, 1, Claimant.here()))
        writer.start()
        writer.join(0.3)
        assert writer.is_alive()
        holder.send_signal(signal.SIGKILL)
        writer.join(10)
        assert not writer.is_alive()
    assert [entry.key for entry in reader.entries()] == [(0, 0), (0, 1)]
    assert len(Ledger(open_storage(tmp_path, None), study).entries()) == 2


@settings(max_examples=60)
@given(cut=st.integers(0, 10_000))
def test_a_journal_cut_anywhere_loses_what_was_cut_and_goes_on(tmp_path_factory, cut: int) -> None:
    folder = tmp_path_factory.mktemp("cut")
    ledger, study = make(folder)
    for seed in range(4):
        ledger.claim(0, seed, Claimant.here())
    file = folder / JOURNAL
    content = file.read_bytes()
    first = content.index(b"\n") + 1
    kept = max(first, min(cut, len(content)))
    file.write_bytes(content[:kept])
    again = Ledger(open_storage(folder, None), study)
    whole = content[:kept].count(b"\n") - 1
    assert len(again.entries()) == whole
    again.claim(1, 0, Claimant.here())
    assert [entry.key for entry in Ledger(open_storage(folder, None), study).entries()][-1] == (1, 0)
    assert file.read_bytes().count(b"\n") == whole + 2


@pytest.mark.parametrize(("content", "left"), [(b"", b""), (b"a\n", b"a\n"), (b"a", b""), (b"a\nb\nc", b"a\nb\n")])
def test_only_what_follows_the_last_line_end_is_cut(tmp_path: Path, content: bytes, left: bytes) -> None:
    file = tmp_path / JOURNAL
    file.write_bytes(content)
    cut_torn_line(file)
    assert file.read_bytes() == left


@pytest.mark.parametrize(
    "line",
    [b"not json\n", b"[]\n", b"5\n", b"{}\n", b'{"op_code": 99}\n', b'{"op_code": 4}\n', b"\xff\xfe\n", b"null\n"],
)
def test_a_damaged_journal_is_a_sentence(tmp_path: Path, line: bytes) -> None:
    make(tmp_path)
    with (tmp_path / JOURNAL).open("ab") as file:
        file.write(line * 2)
    with pytest.raises(StudyError, match=r"journal\.log is damaged .*: restore it from a copy, or remove the study"):
        open_storage(tmp_path, None)


def test_the_lock_excludes_others(tmp_path: Path) -> None:
    """Of other storages, in threads here: the system does not ask whose process it is."""
    (tmp_path / JOURNAL).touch()
    counter = tmp_path / "counter"
    counter.write_text("0")
    threads = [threading.Thread(target=count, args=(tmp_path, 40)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert counter.read_text() == "120"


def count(folder: Path, times: int) -> None:
    lock = JournalLock(folder / JOURNAL)
    for _ in range(times):
        lock.acquire()
        value = int((folder / "counter").read_text())
        os.sched_yield()
        (folder / "counter").write_text(str(value + 1))
        lock.release()
