"""Versions of installed packages, for what reports and job.json record."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib import metadata


@cache
def version(package: str) -> str | None:
    """None where it is not installed, as this project is not in a checkout that is run as it is."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def versions(packages: Iterable[str]) -> dict[str, str | None]:
    """Package -> version, in their order."""
    return {package: version(package) for package in packages}
