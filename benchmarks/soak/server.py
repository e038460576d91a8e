"""A real MLflow server, reached through a proxy that can be down, slow, or wrong."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "faults"))
from tcp_proxy import TcpProxy  # noqa: E402
