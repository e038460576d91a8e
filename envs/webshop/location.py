"""Where the shop's stock lies on disk."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

from sdar_cli.paths import cache_root, user_path
from sdar_envs.webshop.catalogue_items import Catalogue


class StoreOptions(Protocol):
    """The keys of the environment's options that choose a store."""

    @property
    def products(self) -> str: ...
    @property
    def data(self) -> str | None: ...
    @property
    def size(self) -> int: ...
    @property
    def seed(self) -> int: ...


def official_folder(data: str | None) -> Path:
    """The imported store: the option, else ``SDAR_WEBSHOP``, else ``<cache>/webshop/official``."""
    chosen = data or os.environ.get("SDAR_WEBSHOP")
    return user_path(chosen) if chosen else cache_root() / "webshop" / "official"


def store_folder(options: StoreOptions) -> Path:
    """The store that these options read; generated ones are made by ``catalogue.generate``."""
    if options.products == "generated":
        return Catalogue(options.size, options.seed).folder
    return official_folder(options.data)
