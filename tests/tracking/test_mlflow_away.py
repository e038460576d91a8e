"""A real MLflow server behind a proxy that is down, slow or wrong, and what it holds in the end: everything, once."""

from __future__ import annotations

import shutil
import socket
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from faults.tcp_proxy import TcpProxy

from sdar_cli.errors import RunFailed
from sdar_cli.evaluation.result import EpisodeRecord, Evaluation
from sdar_cli.tracking import outbox as outbox_module
from sdar_cli.tracking import sender as sender_module
from sdar_cli.tracking.server import Server
from sdar_cli.tracking.tracker import Tracker

if TYPE_CHECKING:
    from mlflow import MlflowClient

pytestmark = [
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore:The ``noload``:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
]

DEADLINE = 60.0


@pytest.fixture(scope="module")
def server(store: str) -> Iterator[int]:
    """On the store of all tests here, which is read back without it."""
    from sdar_cli.tracking.experiment import opening
    from sdar_cli.tracking.quiet import import_mlflow

    with opening(store):
        import_mlflow().MlflowClient(tracking_uri=store)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with Server(store, "127.0.0.1", port, Path(store.removeprefix("sqlite:///")).parent) as made:
        made.wait_until_ready()
        yield port


@pytest.fixture
def proxy(server: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[TcpProxy]:
    """Time runs faster here: tries follow one another after a twentieth of a second."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr(sender_module, "LONGEST", 0.05)
    with TcpProxy(server) as proxy:
        yield proxy


@pytest.fixture
def start(proxy: TcpProxy, tmp_path: Path) -> Callable[..., Tracker]:
    def started(run_id: str | None = None, home: Path = tmp_path, **options) -> Tracker:
        about = {"experiment": "away", "run_name": "toy-run", "recipe_yaml": "name: toy\n", "params": {"a": 1}}
        about |= {key: options.pop(key) for key in set(about) & set(options)}
        return Tracker.start(proxy.url, **about, run_id=run_id, spool=home / "tracking", **options)

    return started


def steps(tracker: Tracker, numbers: range) -> None:
    for step in numbers:
        tracker.metrics(step, {"loss": 1 / step, "gap": -1.0 / step, "time/step": time.perf_counter()})


def points(store: str, run: str) -> Counter:
    with sqlite3.connect(store.removeprefix("sqlite:///")) as database:
        return Counter(database.execute("select key, step from metrics where run_uuid = ?", (run,)).fetchall())


def each_once(numbers: range) -> Counter:
    return Counter((key, step) for step in numbers for key in ("loss", "gap", "time/step"))


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("fault", ["down", "error", "half", "reset"])
def test_a_server_that_is_out_of_order_in_mid_run(
    proxy: TcpProxy, start: Callable[..., Tracker], store: str, client: MlflowClient, tmp_path: Path, fault: str
) -> None:
    """Half an answer and a reset come after the server has written: what it got, it gets again, and holds once."""
    said: list[str] = []
    tracker = start(say=said.append)
    steps(tracker, range(1, 4))
    getattr(proxy, fault)()
    steps(tracker, range(4, 17))
    tracker.tag("state", "two")
    tracker.artifact_text("note.txt", "later")
    wait_for(lambda: said)
    proxy.up()
    assert tracker.finish() == 0
    away, *still, back = said
    assert "takes no writes" in away and "the run goes on, and they wait in" in away
    assert back.startswith(f"the MLflow store {proxy.url} is back: ") and back.endswith(" writes flushed")
    assert all("are still on their way" in text for text in still)
    assert points(store, tracker.run_id) == each_once(range(1, 17))
    run = client.get_run(tracker.run_id)
    assert run.info.status == "FINISHED" and run.data.tags["state"] == "two" and run.data.params == {"a": "1"}
    history = client.get_metric_history(tracker.run_id, "loss")
    assert [point.step for point in history] == sorted(point.step for point in history)


def test_killed_while_it_is_away_and_resumed_while_it_is_away(
    proxy: TcpProxy, start: Callable[..., Tracker], store: str, client: MlflowClient, tmp_path: Path, episode
) -> None:
    """Three processes: the first is killed after step 12, the second goes on from a checkpoint of step 8 and is
    interrupted, the third finds the server again. A kill is a copy of the folder as it is at that instant."""
    evaluation = Evaluation(
        "no_skills", "base", "toy", "ab" * 32, {}, 0, "hf", (EpisodeRecord.of(episode(0, True)),), 1.0, step=0
    )

    def work(tracker: Tracker, numbers: range) -> None:
        tracker.evaluation(evaluation)
        tracker.episodes(0, [episode(0, True), episode(1, False)], "no_skills")
        for step in numbers:
            tracker.episodes(step, [episode(step, True)], "train")
            steps(tracker, range(step, step + 1))

    first = start()
    proxy.reset()
    work(first, range(1, 13))
    homes = [tmp_path / name for name in ("second", "third")]
    shutil.copytree(tmp_path / "tracking", homes[0] / "tracking")
    proxy.down()
    first.close(0.0)

    second = start(first.run_id, homes[0])
    work(second, range(9, 21))
    shutil.copytree(homes[0] / "tracking", homes[1] / "tracking")
    said: list[str] = []
    second.close(0.0)
    interrupted = start(first.run_id, homes[1], say=said.append, remedy="send them later")
    assert interrupted.finish("KILLED", 0.5) > 0
    assert said[-1].endswith("tracking: send them later") and "lacks" in said[-1]

    proxy.up()
    third = start(first.run_id, homes[1])
    work(third, range(17, 26))
    assert third.finish() == 0

    found = points(store, first.run_id)
    assert {point: count for point, count in found.items() if point[1] > 0} == each_once(range(1, 26))
    assert set(found.values()) == {1}
    run = client.get_run(first.run_id)
    assert run.data.tags["sdar.replayed"] == "9-12, 17-20" and run.info.status == "FINISHED"
    where = {"locations": [run.info.experiment_id], "run_id": first.run_id, "include_spans": False}
    traces = client.search_traces(**where, max_results=100)
    counts = Counter((trace.info.tags["step"], trace.info.tags["mode"]) for trace in traces)
    assert counts == Counter({("0", "no_skills"): 2} | {(str(step), "train"): 1 for step in range(1, 26)})
    with sqlite3.connect(store.removeprefix("sqlite:///")) as database:
        ids = [trace.info.trace_id for trace in traces]
        wanted = f"select count(*) from spans where trace_id in ({', '.join('?' * len(ids))})"
        assert database.execute(wanted, ids).fetchone() == (4 * len(ids),)
    assert run.data.tags["mlflow.loggedArtifacts"].count("tables/base-no_skills.json") == 1


def test_a_silent_server_holds_nobody_up(proxy: TcpProxy, start: Callable[..., Tracker], store: str) -> None:
    tracker = start()
    proxy.silent()
    began = time.monotonic()
    steps(tracker, range(1, 41))
    assert tracker.finish("KILLED", 0.2) >= 41
    assert time.monotonic() - began < 15, "a request waits for twenty seconds"
    proxy.up()
    again = start(tracker.run_id)
    assert again.finish() == 0
    assert points(store, tracker.run_id) == each_once(range(1, 41))


def test_a_run_deleted_by_hand_loses_nothing(
    proxy: TcpProxy, start: Callable[..., Tracker], store: str, client: MlflowClient
) -> None:
    said: list[str] = []
    tracker = start(say=said.append)
    client.delete_run(tracker.run_id)
    steps(tracker, range(1, 4))
    wait_for(lambda: said)
    assert "must be in the 'active' state" in said[0]
    client.restore_run(tracker.run_id)
    assert tracker.finish() == 0
    assert points(store, tracker.run_id) == each_once(range(1, 4))


def test_a_run_that_begins_while_it_is_away(
    proxy: TcpProxy, start: Callable[..., Tracker], store: str, client: MlflowClient, tmp_path: Path, episode
) -> None:
    """It plays, is killed and goes on without an MLflow run, and then has one, with all that it played."""
    folder = tmp_path / "begun"
    folder.mkdir()
    (folder / "run.json").write_text('{"started": 4321.5}')
    tags, said, noted = {"sdar.folder": str(folder), "sdar.kind": "training"}, [], []

    def work(tracker: Tracker, numbers: range) -> None:
        for step in numbers:
            tracker.episodes(step, [episode(step, True)], "train")
            steps(tracker, range(step, step + 1))

    proxy.down()
    first = start(home=folder, tags=tags, say=said.append)
    assert first.run_id == "" and "does not answer" in said[0] and "the run begins without it" in said[0]
    work(first, range(1, 6))
    shutil.copytree(folder / "tracking", tmp_path / "killed" / "tracking")
    first.close(0.0)
    shutil.rmtree(folder / "tracking")
    (tmp_path / "killed" / "tracking").rename(folder / "tracking")

    second = start(home=folder, tags=tags)
    second.on_made(noted.append)
    work(second, range(4, 8))
    second.sync()
    assert noted == []
    proxy.up()
    wait_for(lambda: second.run_id)
    work(second, range(8, 9))
    assert noted == [second.run_id], "a kill before the next checkpoint leaves it noted"
    assert second.finish() == 0
    assert noted == [second.run_id] and len(second.run_id) == 32
    assert points(store, second.run_id) == each_once(range(1, 9))
    run = client.get_run(second.run_id)
    assert run.info.status == "FINISHED" and run.data.tags["sdar.replayed"] == "4-5" and run.data.params["a"] == "1"
    where = {"locations": [run.info.experiment_id], "run_id": second.run_id, "include_spans": False}
    assert Counter(trace.info.tags["step"] for trace in client.search_traces(**where)) == dict.fromkeys("12345678", 1)
    made = client.search_runs([run.info.experiment_id], f"tags.`sdar.folder` = '{folder}'")
    assert [one.info.run_id for one in made] == [second.run_id]

    third = start(home=folder, tags=tags)  # killed before its id was noted in run.json
    assert third.run_id == second.run_id
    third.close()


def test_a_silent_server_holds_up_no_first_start(
    proxy: TcpProxy, start: Callable[..., Tracker], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(outbox_module, "FIRST", 0.2)
    monkeypatch.setattr(outbox_module, "OPENING", 0.2)
    proxy.silent()
    began, said = time.monotonic(), []
    tracker = start(say=said.append)
    steps(tracker, range(1, 4))
    assert tracker.run_id == "" and time.monotonic() - began < 15, "a request waits for twenty seconds"
    assert "does not answer: the run begins without it" in said[0]
    assert tracker.finish("KILLED", 0.1) > 3
    proxy.up()


def test_a_no_to_the_run_is_a_sentence_at_once(proxy: TcpProxy, start: Callable[..., Tracker], client) -> None:
    """And what the sentence asks for helps."""
    client.delete_experiment(client.create_experiment("no-more"))
    with pytest.raises(RunFailed, match=r"'no-more' was deleted: .* or set tracking.experiment to another name"):
        start(experiment="no-more")
    tracker = start(experiment="another")
    assert tracker.finish() == 0
    made = client.get_run(tracker.run_id).info
    assert made.experiment_id == client.get_experiment_by_name("another").experiment_id and made.status == "FINISHED"


def test_a_file_that_is_away_is_waited_for(tmp_path: Path, store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite on a disk that was unmounted: no new file is made in its place."""
    monkeypatch.setattr(sender_module, "LONGEST", 0.05)
    there, away = tmp_path / "mlflow.db", tmp_path / "elsewhere.db"
    shutil.copy(store.removeprefix("sqlite:///"), there)
    said: list[str] = []
    tracker = Tracker.start(
        f"sqlite:///{there}", "of-a-file", "toy", "", {}, spool=tmp_path / "tracking", say=said.append
    )
    wait_for(lambda: there.stat().st_size and not list(tmp_path.glob("mlflow.db-*")))
    there.rename(away)
    steps(tracker, range(1, 4))
    wait_for(lambda: said)
    assert "its file is not there" in said[0] and not there.exists()
    away.rename(there)
    assert tracker.finish() == 0
    assert points(f"sqlite:///{there}", tracker.run_id) == each_once(range(1, 4))
