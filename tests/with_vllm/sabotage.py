"""`sdar`, with one thing broken on purpose: python sabotage.py WHAT ARGUMENTS…"""

from __future__ import annotations

import sys


def none() -> None:
    """Nothing."""


def colocate() -> None:
    """vLLM in the process keeps the weights of its first sync."""
    from trl.generation.vllm_generation import VLLMGeneration

    own, synced = VLLMGeneration.sync_weights, []

    def once(self) -> None:
        if not synced:
            synced.append(own(self))

    VLLMGeneration.sync_weights = once


def server() -> None:
    """A server gets the weights of the first sync alone."""
    from sdar_cli.engines.client import Server

    own, synced = Server.reload, []

    def once(self, folder: str) -> None:
        if not synced:
            synced.append(own(self, folder))

    Server.reload = once


def adapter() -> None:
    """A server gets the first adapter under every later one's name."""
    from sdar_cli.engines.client import Server

    own, first = Server.load_adapter, []

    def always_the_first(self, name: str, folder: str) -> None:
        if not first:
            import shutil

            first.append(shutil.copytree(folder, f"{folder}-first"))
        own(self, name, str(first[0]))

    Server.load_adapter = always_the_first


if __name__ == "__main__":
    {work.__name__: work for work in (none, colocate, server, adapter)}[sys.argv.pop(1)]()
    from sdar_cli.cli.main import main

    sys.exit(main())
