"""``sdar sweep`` is a group whose first word may be left out: options and axes mean ``start``."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup

DEFAULT = "start"


class SweepGroup(TyperGroup):
    """Shows the default command's options among its own help."""

    _helps = False

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] != "--help":
            args = [DEFAULT, *args]
        return super().parse_args(ctx, args)

    def get_params(self, ctx: Any) -> list[Any]:
        return self.commands[DEFAULT].get_params(ctx) if self._helps else super().get_params(ctx)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return ["--recipe NAME [KEY=VALUE]... [OPTIONS]", "| COMMAND"]

    def format_help(self, ctx: Any, formatter: Any) -> None:
        self._helps = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self._helps = False
