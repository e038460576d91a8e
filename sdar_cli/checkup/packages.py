"""Python and the packages that every recipe needs, in versions that work; and vLLM's, which TRL names."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from importlib import metadata

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from sdar_cli.checkup.finding import Finding

NEEDED = {
    "torch": ">=2.7",
    "transformers": ">=5.3,<5.18",
    "trl": ">=1.16,<1.17",
    "peft": ">=0.18",
    "accelerate": ">=1.10",
    "mlflow": ">=3.10,<4",
    "optuna": ">=5,<6",
}
"""As in pyproject.toml, which a test compares."""


def python() -> Iterator[Finding]:
    version = platform.python_version()
    if (3, 11) <= sys.version_info < (3, 13):
        yield Finding("Python", "ok", version)
    else:
        yield Finding("Python", "problem", version, "make an environment with Python 3.11 or 3.12")


def packages() -> Iterator[Finding]:
    for package, wanted in NEEDED.items():
        version = installed(package)
        if version is None:
            yield Finding(package, "problem", "not installed", f"pip install '{package}{wanted}'")
        elif not within(version, wanted):
            yield Finding(package, "problem", version, f"pip install '{package}{wanted}'")
        else:
            yield Finding(package, "ok", version)


def installed(*names: str) -> str | None:
    """The version of the first of these packages that is there."""
    for name in names:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None


def within(version: str, wanted: str) -> bool:
    """Whether a version, also one that is not yet released, satisfies ``>=1,<2``."""
    return SpecifierSet(wanted).contains(version, prereleases=True)


def asked_by(package: str, extra: str, name: str) -> str | None:
    """The versions of ``name`` that an extra of an installed package asks for; None where it asks for none."""
    try:
        lines = metadata.requires(package) or []
    except metadata.PackageNotFoundError:
        return None
    for requirement in map(Requirement, lines):
        if requirement.name == name and requirement.marker and requirement.marker.evaluate({"extra": extra}):
            return str(requirement.specifier)
    return None
