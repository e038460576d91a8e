"""A throw-away Postgres server on a socket in a folder of its own, where Postgres is installed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def programs() -> Path | None:
    """The folder of the server's programs, or None."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


@contextmanager
def server() -> Iterator[str]:
    """The URL of a database of a server that runs while the block does. Root starts it as the user ``postgres``."""
    binaries = programs()
    # A socket's path may have 107 bytes, which a test's own folder leaves no room for.
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    as_user: list[str] = []
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
        as_user = ["runuser", "-u", "postgres", "--"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": "/"}
    init = [binaries / "initdb", "-D", folder / "data", "-U", "sdar", "--auth=trust", "--no-sync", "-E", "UTF8"]
    subprocess.run([*as_user, *map(str, init)], check=True, **quiet)
    options = ["-D", folder / "data", "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off"]
    process = subprocess.Popen([*as_user, *map(str, [binaries / "postgres", *options])], **quiet)
    try:
        ready = [str(binaries / "pg_isready"), "-q", "-t", "30", "-h", str(folder), "-U", "sdar", "-d", "postgres"]
        for _ in range(600):
            if subprocess.run(ready, **quiet).returncode == 0:
                break
            if process.poll() is not None:
                raise RuntimeError("the server did not start")
            try:
                process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
        yield f"postgresql://sdar@/postgres?host={folder}"
    finally:
        # runuser passes SIGTERM on; Postgres ends its sessions on SIGINT, and waits for them on SIGTERM.
        stop = [str(binaries / "pg_ctl"), "-D", str(folder / "data"), "-m", "immediate", "-w", "stop"]
        subprocess.run([*as_user, *stop], **quiet)
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        shutil.rmtree(folder, ignore_errors=True)
