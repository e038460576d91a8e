"""Make a study, or find the one of that name and see that it asks for the same."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sdar_cli.errors import StudyError
from sdar_cli.sweep.make import Made
from sdar_cli.sweep.store import StudyStore
from sdar_cli.sweep.study_folder import FILE, STUDIES
from sdar_cli.tracking.location import runs_option


def open_or_create(made: Made, root: Path, storage: str | None, say: Callable[[str], None]) -> StudyStore:
    """The study's store.

    A new study has its MLflow run before it has anything else, so that every worker finds it in the specification.

    Args:
        made: what was asked for.
        root: the runs folder.
        storage: URL of a database that machines share.
        say: told which study it is, before anything that takes time.

    Raises:
        StudyError: there is a study of that name that asks for something else; the sentence says what differs.
        SdarError: it cannot be made.
    """
    with _one_at_a_time(root):
        return _open_or_create(made, root, storage, say)


def _open_or_create(made: Made, root: Path, storage: str | None, say: Callable[[str], None]) -> StudyStore:
    spec = made.spec
    if (root / STUDIES / spec.name / FILE).is_file():
        store = StudyStore.open(spec.name, root, storage)
        if found := spec.differences(store.spec):
            raise StudyError(
                f"there is a study {spec.name!r} already, and it is another ({'; '.join(found)}): choose another "
                f"--name, or go on with it by `sdar sweep resume {spec.name}{runs_option(root)}`"
            )
        say(f"study {spec.name}: it is there already, and goes on")
        return store
    say(f"study {spec.name}")
    from sdar_cli.sweep.publish import open_parent

    uri, parent = open_parent(spec, root)
    spec = spec.model_copy(update={"tracking_uri": uri, "mlflow_parent": parent})
    return StudyStore.create(spec, root, storage)


@contextmanager
def _one_at_a_time(root: Path) -> Iterator[None]:
    """Of two who ask for the same study at once, the second finds that of the first."""
    studies = root / STUDIES
    try:
        studies.mkdir(parents=True, exist_ok=True)
        lock = (studies / ".lock").open("a")
    except OSError as error:
        raise StudyError(f"{studies} cannot be written ({error.strerror}): give another folder with --runs") from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
