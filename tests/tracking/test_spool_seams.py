"""The spool between two of its own lines: interrupted, renamed, closed, forked, or before a disk that says no."""

from __future__ import annotations

import errno
import json
import os
import signal
import threading
from pathlib import Path

import pytest

from sdar_cli.stop import STOP
from sdar_cli.tracking.known import Known
from sdar_cli.tracking.late import Late
from sdar_cli.tracking.sender import Sender
from sdar_cli.tracking.spool import TRACES, Spool
from sdar_cli.tracking.spool_file import FILE
from sdar_cli.tracking.wire import Verdict
from sdar_cli.tracking.write import Write, parse

RUN = "ab" * 16
KNOWN = {"names": [], "steps": [], "once": [], "last": {}, "replayed": ""}


def sent_by(spool: Spool) -> list[Write]:
    found: list[Write] = []
    sender = Sender(spool, found.append, lambda error: Verdict.FAILED, "store", print, Late(spool))
    while sender.attempt() is not None:
        pass
    return found


def test_ctrl_c_behind_the_replacing_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written later goes to the file that is there, not to the one that is gone."""
    spool = Spool(tmp_path, RUN)
    spool.put("tag", {"key": "a", "value": "1"})
    replace = os.replace

    def interrupted(old: Path, new: Path) -> None:
        replace(old, new)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(spool, "_is_worth_it", lambda: True)
    with STOP.guard():
        monkeypatch.setattr(os, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            spool.sync()
        monkeypatch.setattr(os, "replace", replace)
    spool.put("tag", {"key": "sdar.status", "value": "interrupted"})
    assert spool.close() == 2 and not (tmp_path / "spool.new").exists()
    assert Spool(tmp_path, RUN).waiting == 2


def test_ctrl_c_behind_the_appending_gives_no_number_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two writes of one number would be sent as one: the other one's point would never arrive."""
    spool = Spool(tmp_path, RUN)
    take = spool._take

    def interrupted(*args) -> None:
        signal.raise_signal(signal.SIGINT)
        take(*args)

    with STOP.guard():
        monkeypatch.setattr(spool, "_take", interrupted)
        with pytest.raises(KeyboardInterrupt):
            spool.metrics(12, {"a": 1.0})
        monkeypatch.setattr(spool, "_take", take)
    spool.put("tag", {"key": "sdar.status", "value": "interrupted"}, key="tag/sdar.status")
    spool.close()
    assert [(write.number, write.kind) for write in sent_by(Spool(tmp_path, RUN))] == [(1, "metrics"), (2, "tag")]


def test_a_name_that_comes_while_it_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that makes the run writes the file anew, while training has the old one put on the disk."""
    spool = Spool(tmp_path, "")
    spool.metrics(1, {"a": 1.0})
    fdatasync, named = os.fdatasync, []

    def slow(descriptor: int) -> None:
        if not named:
            named.append(True)
            thread = threading.Thread(target=spool.name_run, args=(RUN,))
            thread.start()
            thread.join(10.0)
            assert not thread.is_alive(), "it waits for the disk"
        fdatasync(descriptor)

    monkeypatch.setattr(os, "fdatasync", slow)
    spool.sync()
    spool.close()
    again = Spool(tmp_path, "")
    assert named and again.run_id == RUN and again.waiting == 1


def test_killed_before_its_first_line_it_asks_again_what_was_before(tmp_path: Path) -> None:
    def before() -> Known:
        known = Known()
        known.add(3, ["a"])
        return known

    (tmp_path / FILE).touch()
    spool = Spool(tmp_path, RUN, before=before)
    assert spool.metrics(3, {"a": 1.0}) == 0 and spool.metrics(4, {"a": 1.0}) == 1


@pytest.mark.parametrize("how", ["closed", "forked"])
def test_who_has_no_say_touches_no_traces(tmp_path: Path, how: str) -> None:
    """The next process, or the one that was forked from, has a write of that number."""
    spool = Spool(tmp_path, RUN)
    if how == "closed":
        spool.close()
    else:
        spool._process = -1
    (tmp_path / TRACES / "1.json.gz").write_bytes(b"of the other one")
    assert not spool.traces("traces/1", [{}])
    spool.take_over(spool, Write(1, "traces", 0, {"bytes": 3}, {"once": "a"}))
    assert (tmp_path / TRACES / "1.json.gz").read_bytes() == b"of the other one"


def test_traces_that_cannot_be_removed_end_no_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(tmp_path, RUN)
    spool.traces("traces/1", [{}])
    spool.put("tag", {"key": "a", "value": "b"})
    unlink = Path.unlink

    def read_only(self: Path, missing_ok: bool = False) -> None:
        if self.parent.name == TRACES:
            raise OSError(errno.EROFS, "Read-only file system")
        unlink(self, missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", read_only)
        assert [write.kind for write in sent_by(spool)] == ["traces", "tag"]
        spool.close()
        Spool(tmp_path, RUN).close()
    Spool(tmp_path, RUN).close()
    assert not list((tmp_path / TRACES).iterdir()), "swept when it can be"


def test_a_strange_folder_among_the_traces_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / TRACES / "mine").mkdir(parents=True)
    assert Spool(tmp_path, RUN).waiting == 0


@pytest.mark.parametrize(
    "line",
    [
        {"spool": 1, "next": 1, "known": KNOWN},
        {"spool": 1, "run": 5, "next": 1, "known": KNOWN},
        {"spool": 1, "run": RUN, "next": 1.5, "known": KNOWN},
        {"spool": 1, "run": RUN, "next": float("inf"), "known": KNOWN},
        {"spool": 1, "run": RUN, "next": 1, "known": {**KNOWN, "steps": [["1", 0, float("inf")]]}},
        {"spool": 1, "run": RUN, "next": 1, "known": []},
        {"n": 1, "kind": "metrics", "at": 1, "content": {"step": 1, "values": ["a"]}},
        {"n": 1, "kind": "metrics", "at": 1, "content": {"step": 1, "values": {"a": "b"}}},
        {"n": 1, "kind": "traces", "at": 1, "content": {"bytes": -5}},
        {"n": -1, "kind": "end", "at": 1, "content": {"status": "FINISHED"}},
    ],
)
def test_a_line_of_others_is_none(tmp_path: Path, line: dict) -> None:
    text = json.dumps(line).replace("Infinity", "1e999").encode() + b"\n"
    assert parse(text) is None
    (tmp_path / FILE).write_bytes(text)
    spool = Spool(tmp_path, RUN)
    assert spool.run_id == RUN and spool.waiting == 0 and spool.metrics(1, {"a": 1.0}) == 1


def test_what_makes_room_may_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Traces are given up; a file that stays is swept later, and the write is put down all the same."""
    spool = Spool(tmp_path, RUN, limit=300)
    assert spool.traces("traces/1", [{"text": "x"}])

    def stays(self: Path, missing_ok: bool = False) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", stays)
        assert spool.metrics(1, {f"m{n}": 1.0 for n in range(20)}) == 20
    assert spool.waiting == 2


def test_a_run_is_made_as_it_was_asked_for_last(tmp_path: Path) -> None:
    """What was put down before, for an experiment that is deleted, does not stand in the way."""
    for name in ("deleted", "deleted", "other"):
        spool = Spool(tmp_path, "")
        spool.put("create", {"experiment": name}, key="create")
        spool.metrics(1, {"a": 1.0})
        spool.close()
    sent = sent_by(Spool(tmp_path, ""))
    assert [write.kind for write in sent] == ["create", "metrics", "create"]
    assert sent[0].content == {"experiment": "other"}


def test_writes_for_another_run_are_put_aside_with_a_sentence(tmp_path: Path) -> None:
    spool = Spool(tmp_path, RUN)
    spool.metrics(1, {"a": 1.0})
    spool.close()
    said: list[str] = []
    assert Spool(tmp_path, "cd" * 16, say=said.append).waiting == 0
    assert said == [
        f"{tmp_path / FILE} holds writes for the MLflow run {RUN}, which is not this one's ({'cd' * 16}): they are "
        f"not sent, and kept in {tmp_path / 'spool.old'}"
    ]
    assert b'"step": 1' in (tmp_path / "spool.old").read_bytes()
