"""The secret between a server that listens wider than loopback and whoever asks it."""

from __future__ import annotations

import os
import re

from sdar_cli.errors import UserError
from sdar_cli.servers.guard import is_loopback

RETRIEVER = "SDAR_RETRIEVER_TOKEN"
UI = "SDAR_UI_TOKEN"
SHORTEST = 16


def token(variable: str) -> str | None:
    """The secret in an environment variable, or None where there is none.

    Raises:
        UserError: it is too short to be one, or no header can carry it.
    """
    value = os.environ.get(variable) or None
    if value is not None and (len(value) < SHORTEST or not re.fullmatch(r"[!-~]+", value)):
        raise UserError(
            f"{variable} is no token: set it to at least {SHORTEST} letters and digits, as `openssl rand -hex 16` makes"
        )
    return value


def token_for(host: str, variable: str) -> str | None:
    """The token that a server on this address asks for; None: on loopback it needs none.

    Raises:
        UserError: others can reach the address, and there is no token.
    """
    secret = token(variable)
    if secret is None and not is_loopback(host):
        raise UserError(
            f"--host {host} would answer whoever reaches this machine: set {variable} to a secret, here and where the "
            "server is asked, or leave --host at 127.0.0.1"
        )
    return secret
