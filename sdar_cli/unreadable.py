"""Why a file cannot be used."""

from __future__ import annotations


class Unreadable(Exception):
    """Why a file cannot be used, in words that follow its path."""


class Missing(Unreadable):
    """There is no such file."""


class Outside(Unreadable):
    """The path leaves the folder that it should be in."""
