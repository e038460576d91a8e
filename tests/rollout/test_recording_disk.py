"""A disk that does not take a step's recording: a sentence, and what was recorded before is whole."""

from __future__ import annotations

import errno
import os

import pytest
from recorded_rollouts import rollout

from sdar_cli.errors import RunFailed, UserError
from sdar_cli.rollout import replay
from sdar_cli.rollout.replay import append_rollout


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS], ids=errno.errorcode.get)
def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch, number):
    """Ours to say with exit code 1, as of any other file of a run: the name is right, and the run can go on."""
    path = tmp_path / "r.jsonl.gz"
    append_rollout(path, 0, rollout(0))
    before = path.read_bytes()

    def full(file, data):
        file.write(data[:40])
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(replay, "_write", full)
    with pytest.raises(RunFailed) as caught:
        append_rollout(path, 1, rollout(1))
    said = str(caught.value)
    assert said.startswith(f"the recording r.jsonl.gz cannot be written in {tmp_path}, as the ")
    assert said.endswith(", and go on with `sdar resume`") and caught.value.exit_code == 1
    assert path.read_bytes() == before


def test_a_name_that_no_file_can_have_is_the_users(tmp_path):
    (tmp_path / "file").touch()
    for name in ("file/r.jsonl", "r" * 300):
        with pytest.raises(UserError, match=r"cannot be written \(.*\): name another") as caught:
            append_rollout(tmp_path / name, 0, rollout(0))
        assert caught.value.exit_code == 2
