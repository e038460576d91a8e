"""Packages that only the retriever needs."""

from __future__ import annotations

import importlib.util

from sdar_cli.errors import EnvironmentSetupError


def require(extra: str, *packages: str) -> None:
    """
    Raises:
        EnvironmentSetupError: one of the packages is not installed; names the extra that brings it.
    """
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise EnvironmentSetupError(f"the package {package} is not installed: run `pip install 'sdar[{extra}]'`")
