"""Small parts of the command: time left, what workers say, a run's share of the machine."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from scripted_study import claim, done, folder
from study_tools import spec_of

from sdar_cli.cli.sweep_display import News
from sdar_cli.sweep import shares
from sdar_cli.sweep.playing import playing, seconds_left, tail_metrics
from sdar_cli.sweep.shares import gpu_of, threads_of, visible_gpus
from sdar_cli.sweep.store import StudyStore
from sdar_cli.tracking.journal_tail import TAIL


def test_time_left(tmp_path: Path) -> None:
    """One of four runs is done in a minute, one is at step 25 of 100 after ten seconds, two wait."""
    store = StudyStore.create(spec_of("st", ["gate.beta=1,2"], seeds="2"), tmp_path)
    assert seconds_left(store.view(), []) is None
    done(store, 0, 0, 0.5, seconds=60.0)
    claim(store, 0, 1)
    folder(tmp_path, "st-c000-s1", 25, 100)
    view = store.view()
    (run,) = playing(view, tmp_path)
    assert (run.phase, run.step, run.steps, run.played) == ("training", 25, 100, 25)
    run = replace(run, seconds=10.0)
    assert run.left == pytest.approx(30.0)
    assert seconds_left(view, [run]) == pytest.approx(30 + 2 * 60)
    assert seconds_left(view, [run, run]) == pytest.approx((2 * 30 + 2 * 60) / 2)


def test_time_left_of_a_resumed_run_goes_by_its_own_steps(tmp_path: Path) -> None:
    store = StudyStore.create(spec_of("st", ["gate.beta=1,2"], seeds="1"), tmp_path)
    claim(store, 0, 0, from_step=50)
    folder(tmp_path, "st-c000-s0", 60, 100)
    (run,) = playing(store.view(), tmp_path)
    assert run.played == 10 and replace(run, seconds=5.0).left == pytest.approx(20.0)


def test_a_run_that_has_no_folder_yet(tmp_path: Path) -> None:
    store = StudyStore.create(spec_of("st", ["gate.beta=1,2"], seeds="1"), tmp_path)
    claim(store, 0, 0)
    (run,) = playing(store.view(), tmp_path)
    assert (run.phase, run.steps, run.left, dict(run.metrics)) == ("starting", None, None, {})
    assert seconds_left(store.view(), [run]) is None


def test_the_newest_metrics_of_a_long_journal(tmp_path: Path) -> None:
    journal = tmp_path / "metrics.jsonl"
    assert tail_metrics(journal) == {}
    line = '{{"step": {0}, "rollout/success": {0}.5, "policy/kl": null, "other": "' + "x" * 500 + '"}}\n'
    journal.write_text("".join(line.format(step) for step in range(400)) + '{"eval/no_skills/success": 1}\n{"step"')
    assert journal.stat().st_size > 2 * TAIL
    assert tail_metrics(journal) == {"rollout/success": 399.5}


def test_what_workers_say_is_passed_on_once_and_whole(tmp_path: Path) -> None:
    log = tmp_path / "worker-0.log"
    log.write_text("of an earlier time\n")
    news = News(tmp_path)
    assert list(news.read()) == []
    with log.open("a") as file:
        file.write("first\nsec")
    (tmp_path / "worker-1.log").write_text("other\n")
    assert list(news.read()) == ["first", "other"]
    with log.open("a") as file:
        file.write("ond\n")
    assert list(news.read()) == ["second"] and list(news.read()) == []


def test_processors_are_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    assert [threads_of(jobs) for jobs in (1, 2, 3, 16)] == [None, 4, 2, 1]
    monkeypatch.setenv("OMP_NUM_THREADS", "6")
    assert threads_of(4) is None


def test_the_gpus_that_may_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2, GPU-ab")
    assert visible_gpus() == ["2", "GPU-ab"]
    assert [gpu_of(place) for place in range(3)] == ["2", "GPU-ab", "2"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    assert gpu_of(0) is None
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,-1,0")
    assert visible_gpus() == ["1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert visible_gpus() == [] and gpu_of(1) is None


def test_the_gpus_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A container sees the device nodes that were lent to it, under any number; CUDA counts them from 0."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(shares, "DEVICES", tmp_path)
    assert visible_gpus() == []
    for name in ("nvidia3", "nvidia5", "nvidiactl", "nvidia-uvm", "nvidia0x"):
        (tmp_path / name).touch()
    assert visible_gpus() == ["0", "1"]


def test_looking_takes_no_more_than_its_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sdar_cli.cli import sweep_display

    slept: list[float] = []
    clock = iter([0.0, 0.5, 100.0])
    monkeypatch.setattr(sweep_display.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(sweep_display.time, "sleep", slept.append)
    store = StudyStore.create(spec_of("st", ["gate.beta=1,2"], seeds="1"), tmp_path)
    views = sweep_display.looks(store)
    next(views)
    next(views)
    assert slept == [pytest.approx(10.0)]
