"""Where a study's trials are kept: a journal file of its folder, or a database that machines share."""

from __future__ import annotations

import os
import re
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

from sdar_cli.errors import StudyError
from sdar_cli.reading import Unreadable, open_regular, parse_json, size
from sdar_cli.sweep.journal_lock import JournalLock

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

JOURNAL = "journal.log"
LARGEST = 256 << 20
"""Bytes of it; a hundred thousand attempts take half."""
_NO_URL = (
    "the storage is no URL of a database: write for example postgresql://user@host/database, and %40, %3A and %2F "
    "for @, : and / in a password"
)
"""Without what was typed, as nothing says which part of it is the password."""
_POOL = {"pool_size": 1, "max_overflow": 4, "pool_pre_ping": True}
"""One connection a worker, as a server allows about a hundred; one that the server closed is opened again."""


_USER = re.compile(r"\A([^:/@]+://(?!/)|(?![^:/@]+://))(.*)@", re.DOTALL)
"""Scheme, and what stands before the last ``@``: also of a URL that was typed wrongly."""
_SECRET = re.compile(r"(?i)([?&][^=&]*(?:token|password|secret|key|passfile)[^=&]*)=[^&]+")


def shown(url: str) -> str:
    """A database's URL as messages have it: without user and password."""
    return _SECRET.sub(r"\1=***", _USER.sub(r"\1***@", url))


def has_secret(url: str) -> bool:
    """Whether a database's URL must not be written down."""
    user = _USER.match(url)
    return (user is not None and ":" in user[2]) or _SECRET.search(url) is not None


def open_storage(folder: Path, url: str | None) -> BaseStorage:
    """Optuna's storage.

    Args:
        folder: the study's, which holds the journal.
        url: a database instead, for example ``postgresql://host/sdar``.

    Raises:
        StudyError: the journal is damaged, or the database cannot be used.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return _journal(folder / JOURNAL) if url is None else _database(url)


def check_journal(folder: Path) -> None:
    """See, before Optuna reads all of it, that a study's journal is a file, and no larger than one can be.

    Raises:
        StudyError: it is missing, or something else.
    """
    try:
        with open_regular(folder / JOURNAL) as file:
            if os.fstat(file.fileno()).st_size > LARGEST:
                raise Unreadable(f"is larger than {size(LARGEST)}")
    except Unreadable as error:
        raise StudyError(f"{folder / JOURNAL} {error}: restore it from a copy, or remove the study") from None


def _journal(file: Path) -> BaseStorage:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    try:
        return JournalStorage(JournalFileBackend(str(file), JournalLock(file)))
    except OSError as error:
        raise StudyError(f"{file} cannot be read ({error.strerror}): make it readable") from None
    except Exception:  # Optuna believes every word of it
        raise StudyError(f"{file} is damaged ({_why(file)}): restore it from a copy, or remove the study") from None


def _why(file: Path) -> str:
    """Why Optuna cannot make sense of a journal: the first line that is no entry of one."""
    with open_regular(file) as lines:
        for number, line in enumerate(lines, 1):
            try:
                entry = parse_json(line)
            except Unreadable as error:
                return f"its line {number} {error}"
            if not isinstance(entry, dict) or type(entry.get("op_code")) is not int:
                return f"its line {number} is no entry of a journal"
    return "its entries do not follow from one another"


def _database(url: str) -> BaseStorage:
    import optuna
    from sqlalchemy.exc import ArgumentError, SQLAlchemyError

    user = _USER.match(url)
    if not re.match(r"[a-z][a-z0-9+]*://", url) or (user is not None and "@" in user[2]):
        raise StudyError(_NO_URL)
    try:
        backend = optuna.storages.RDBStorage(_with_driver(url), engine_kwargs=_POOL)
    except (ValueError, ArgumentError):
        raise StudyError(_NO_URL) from None
    except ImportError as error:
        remedy = "pip install 'sdar[postgres]'" if url.startswith("postgres") else "install its driver"
        raise StudyError(f"the storage {shown(url)} needs a package that is missing ({error}): {remedy}") from None
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError, RuntimeError) as error:
        cause = error.__cause__ or error
        what = " ".join(str(getattr(cause, "orig", cause)).split())[:160]
        raise StudyError(
            f"the storage {shown(url)} cannot be used ({what}): start the server, or correct --storage"
        ) from None
    storage = optuna.storages.get_storage(backend)
    weakref.finalize(storage, backend.engine.dispose)
    return storage


def _with_driver(url: str) -> str:
    """Postgres through psycopg 3, whichever driver SQLAlchemy would take by itself."""
    return re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", url)
