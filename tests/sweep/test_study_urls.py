"""URLs of databases: what stands in them stays out of files, scripts and sentences."""

from __future__ import annotations

from pathlib import Path

import pytest
from study_tools import spec_of

from sdar_cli.errors import StudyError
from sdar_cli.sweep.slurm import SlurmProfile, script
from sdar_cli.sweep.storage import has_secret, open_storage, shown
from sdar_cli.sweep.store import StudyStore
from sdar_cli.sweep.study_folder import write_study


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:s3cret@host/sdar",
        "postgresql://me:s3#c/r?s3cret@host/sdar",
        "postgresql://host/sdar?user=me&password=s3cret",
    ],
)
def test_a_password_is_not_written_down(tmp_path: Path, url: str) -> None:
    spec = spec_of(words=["distill.coef=0.1,0.2"]).model_dump(mode="json")
    write_study(tmp_path / "studies" / "study", spec, 0.0, url)
    assert "s3" not in (tmp_path / "studies" / "study" / "study.json").read_text()
    assert "s3" not in script(SlurmProfile(time="60"), "study", root=tmp_path, folder=tmp_path, storage=url)
    with pytest.raises(StudyError, match="whose password is not kept: give the URL with --storage"):
        StudyStore.open("study", tmp_path)


@pytest.mark.parametrize("url", ["postgresql://me@host/sdar", "sqlite:////home/me@work/a:b/sdar.db"])
def test_a_url_without_a_password_is_kept(tmp_path: Path, url: str) -> None:
    assert not has_secret(url)
    assert shown(url) in (url, "postgresql://***@host/sdar")


@pytest.mark.parametrize(
    "url",
    [
        "Postgresql://me:s3cret@127.0.0.1:1/db",
        "me:s3cret@127.0.0.1",
        "postgresql://me:s3cret",
        "postgresql://me:s3cret@127.0.0.1:port/db",
        "postgresql://me:p@s3cret@127.0.0.1:1/db",
        "postgresql://me:s3cret@[127.0.0.1/db",
        "postgresql://me:x#s3cret@127.0.0.1:1/db",
        "postgresql://127.0.0.1:1/db?user=me&password=s3cret",
        "nothing+atall://me:s3cret@host/db",
        "",
    ],
)
def test_a_database_that_cannot_be_used_is_a_sentence_without_the_password(tmp_path: Path, url: str) -> None:
    with pytest.raises(StudyError) as error:
        open_storage(tmp_path, url)
    assert "s3cret" not in str(error.value) and "\n" not in str(error.value)
