"""The spool and its sender, without MLflow and without a thread: whatever happens in whatever order, each write
arrives once, and in order."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdar_cli.errors import RunError, RunFailed
from sdar_cli.tracking import spool as spool_module
from sdar_cli.tracking.late import Late
from sdar_cli.tracking.sender import Sender
from sdar_cli.tracking.spool import TRACES, Spool
from sdar_cli.tracking.spool_file import FILE, SENT
from sdar_cli.tracking.wire import Verdict
from sdar_cli.tracking.write import Write

RUN = "ab" * 16


class Store:
    """As MLflow's: an identical point falls on itself, any other one is added."""

    def __init__(self) -> None:
        self.arrived: list[tuple[str, object]] = []
        self.points: set[tuple[int, str, int, float]] = set()
        self.mood = "up"

    def __call__(self, write: Write) -> None:
        if self.mood == "away":
            raise ConnectionError("away")
        content = dict(write.content)
        if write.kind == "metrics":
            new = {(write.at, name, content["step"], value) for name, value in content["values"].items()}
            if not new <= self.points:
                self.arrived.append(("metrics", content["step"]))
            self.points |= new
        else:
            self.arrived.append((write.kind, content["key"]))
        if self.mood == "unsure":
            raise TimeoutError("no answer")

    def check(self) -> None:
        counts = Counter((name, step) for _, name, step, _ in self.points)
        assert not [point for point, count in counts.items() if count > 1]


def sender_of(spool: Spool, store: Store, said: list[str] | None = None) -> Sender:
    say = (said if said is not None else []).append
    return Sender(spool, store, lambda error: Verdict.FAILED, "store", say, Late(spool))


def drained(spool: Spool, store: Store) -> None:
    sender = sender_of(spool, store)
    while sender.attempt() is not None:
        pass


operations = st.lists(
    st.one_of(
        st.tuples(st.just("step"), st.integers(1, 12)),
        st.tuples(st.just("once"), st.integers(1, 4)),
        st.tuples(st.just("tag"), st.integers(1, 3)),
        st.tuples(st.just("send"), st.integers(1, 5)),
        st.tuples(st.sampled_from(["away", "unsure", "up", "sync"]), st.just(0)),
        st.tuples(st.just("kill"), st.integers(0, 40)),
    ),
    max_size=60,
)


@settings(max_examples=150)
@given(operations)
def test_each_write_arrives_once_and_in_order(tmp_path_factory: pytest.TempPathFactory, steps: list) -> None:
    """``kill`` leaves the folder as it is and cuts the last line by some bytes, where the store was not given it (then
    it is on the disk itself): what it said is put down again by whoever resumes."""
    folder = tmp_path_factory.mktemp("spool") / "tracking"
    store, spool = Store(), Spool(folder, RUN)
    sender = sender_of(spool, store)
    expected: list[tuple[str, object]] = []
    values: dict[int, float] = {}
    for number, (what, which) in enumerate(steps):
        if what == "step":
            fresh = spool.metrics(which, {"loss": float(number), "gap": -float(number)})
            assert fresh == (0 if which in values else 2)
            if which not in values:
                values[which] = float(number)
                expected.append(("metrics", which))
        elif what == "once":
            if spool.put("once", {"key": which}, key=f"once/{which}", once=True):
                expected.append(("once", which))
        elif what == "tag":
            spool.put("tag", {"key": "a", "value": str(number)}, key="tag/a")
        elif what == "send":
            for _ in range(which):
                sender.attempt()
        elif what == "sync":
            spool.sync()
        elif what == "kill":
            waited = spool.waiting
            file = folder / FILE
            lines = file.read_bytes().splitlines(keepends=True)
            last = json.loads(lines[-1])
            was_given = (last.get("kind"), last.get("content", {}).get("step")) in store.arrived
            was_given |= (last.get("kind"), last.get("content", {}).get("key")) in store.arrived
            if which and waited and len(lines) > 1 and not was_given:
                file.write_bytes(b"".join(lines)[: -min(which, len(lines[-1]) - 1)])
                if last["kind"] == "metrics":
                    expected.remove(("metrics", last["content"]["step"]))
                    del values[last["content"]["step"]]
                elif last["kind"] == "once":
                    expected.remove(("once", last["content"]["key"]))
            store.mood = "up" if store.mood == "up" else "away"
            spool = Spool(folder, RUN)
            sender = sender_of(spool, store)
        else:
            store.mood = what
    store.mood = "up"
    drained(spool, store)
    store.check()
    assert spool.waiting == 0
    # An answer that did not come makes a write arrive twice in a row, and no other comes between.
    assert [one for one in dict.fromkeys(store.arrived) if one[0] != "tag"] == expected
    assert {(step, value) for _, name, step, value in store.points if name == "loss"} == set(values.items())
    assert spool.close() == 0
    again = Spool(folder, RUN)
    assert all(again.metrics(step, {"loss": 0.5, "gap": 0.5}) == 0 for step in values)
    again.close()
    shutil.rmtree(folder)


def test_sent_writes_leave_the_file_and_are_known_still(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_module, "_WORTH", 2000)
    spool, store = Spool(tmp_path, RUN), Store()
    sizes = []
    for step in range(1, 201):
        spool.metrics(step, {f"metric/{n}": 1 / (n + step) for n in range(20)})
        drained(spool, store)
        spool.sync()
        sizes.append((tmp_path / FILE).stat().st_size)
    assert max(sizes) < 8000 and len(store.arrived) == 200
    spool.close()
    assert Spool(tmp_path, RUN).metrics(7, {"metric/3": 0.0}) == 0


def test_what_the_store_has_is_not_sent_by_the_next_process(tmp_path: Path) -> None:
    spool, store = Spool(tmp_path, RUN), Store()
    for step in (1, 2, 3):
        spool.metrics(step, {"a": 1.0})
    sender = sender_of(spool, store)
    assert [sender.attempt(), sender.attempt()] == [0, 0]
    spool = Spool(tmp_path, RUN)  # after a kill
    assert spool.waiting == 1
    drained(spool, store)
    assert store.arrived == [("metrics", 1), ("metrics", 2), ("metrics", 3)]


def test_the_time_is_that_of_the_putting_down(tmp_path: Path) -> None:
    spool = Spool(tmp_path, RUN)
    spool.metrics(1, {"a": 0.1})
    first = spool.first()
    assert first == Spool(tmp_path, RUN).first()
    assert first.content == {"step": 1, "values": {"a": 0.1}}


@pytest.mark.parametrize(
    "damage", [b"garbage\n", b"\xff\xfe\n", b"[" * 5000 + b"\n", b'{"n": "x", "kind": 5}\n', b"5\n"]
)
def test_a_line_that_somebody_else_wrote_is_passed_over(tmp_path: Path, damage: bytes) -> None:
    spool, store = Spool(tmp_path, RUN), Store()
    spool.metrics(1, {"a": 1.0})
    with (tmp_path / FILE).open("ab") as file:
        file.write(damage)
    spool = Spool(tmp_path, RUN)
    spool.metrics(2, {"a": 2.0})
    (tmp_path / SENT).write_bytes(b"not a number")
    drained(Spool(tmp_path, RUN), store)
    assert store.arrived == [("metrics", 1), ("metrics", 2)]


def test_a_pipe_in_its_place_is_a_sentence(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / FILE)
    with pytest.raises(RunError, match="is a pipe, not a file: move it away"):
        Spool(tmp_path, RUN)


def test_another_mlflow_run_starts_anew(tmp_path: Path) -> None:
    Spool(tmp_path, RUN).metrics(1, {"a": 1.0})
    spool = Spool(tmp_path, "cd" * 16)
    assert spool.waiting == 0 and spool.metrics(1, {"a": 1.0}) == 1
    assert (tmp_path / "spool.old").is_file(), "what the other one was to get is kept"


def test_traces_go_first_and_it_is_said_once(tmp_path: Path) -> None:
    said: list[str] = []
    spool = Spool(tmp_path, RUN, limit=30_000, say=said.append)
    for step in range(20):
        spool.traces(f"traces/{step}", [{"text": os.urandom(2000).hex()}])
        spool.metrics(step, {f"m{n}": n / 7 for n in range(40)})
    assert len(said) == 1 and "tracking.spool=" in said[0] and "the oldest traces are given up" in said[0]
    held = sum(file.stat().st_size for file in (tmp_path / TRACES).iterdir())
    assert held + (tmp_path / FILE).stat().st_size < 36_000
    found: list[tuple[str, int]] = []

    def deliver(write: Write) -> None:
        count = len(spool.read_traces(write)) if write.kind == "traces" else len(write.content["values"])
        found.append((write.kind, count))

    sender = Sender(spool, deliver, lambda error: Verdict.WRONG, "store", said.append, Late(spool))
    while sender.attempt() is not None:
        pass
    assert [count for kind, count in found if kind == "metrics"] == [40] * 20, "no metric is given up"
    traces = [count for kind, count in found if kind == "traces"]
    assert traces == sorted(traces) and 0 < sum(traces) < 20, "the newest are kept"
    assert not list((tmp_path / TRACES).iterdir()), "sent ones are removed"
    assert said[1:] == []


def test_traces_are_put_once_and_a_lost_file_is_no_end(tmp_path: Path) -> None:
    spool = Spool(tmp_path, RUN)
    assert spool.traces("traces/1", [{"a": 1}]) and not spool.traces("traces/1", [{"a": 2}])
    assert spool.read_traces(spool.first()) == [{"a": 1}]
    for damage in (b"", b"no gzip"):
        (tmp_path / TRACES / "1.json.gz").write_bytes(damage)
        assert spool.read_traces(spool.first()) == []
    (tmp_path / TRACES / "99.json.gz").write_bytes(b"of a write that was cut")
    spool = Spool(tmp_path, RUN)
    assert [file.name for file in (tmp_path / TRACES).iterdir()] == ["1.json.gz"]


def test_a_full_disk_is_a_sentence_and_keeps_what_was_put_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool, store = Spool(tmp_path, RUN), Store()
    spool.metrics(1, {"a": 1.0})
    write = os.pwrite

    def full(descriptor: int, data: bytes, start: int) -> int:
        if len(data) > 21:
            write(descriptor, data[:10], start)
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, data, start)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(RunFailed, match=r"the disk is full: .* `sdar resume`") as error:
            spool.metrics(2, {"a": 2.0})
        assert str(tmp_path) in str(error.value)
    assert spool.metrics(2, {"a": 2.5}) == 1, "space was made"
    for one in (spool, Spool(tmp_path, RUN)):
        drained(one, store)
    assert store.arrived == [("metrics", 1), ("metrics", 2)]


def test_a_fork_has_no_say(tmp_path: Path) -> None:
    spool = Spool(tmp_path, RUN)
    spool.metrics(1, {"a": 1.0})
    before = (tmp_path / FILE).read_bytes()
    spool._process = -1  # as in a process that was forked
    spool.put("tag", {"key": "a", "value": "b"})
    spool.sync()
    spool.close()
    assert (tmp_path / FILE).read_bytes() == before
