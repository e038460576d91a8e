"""``sdar data``: what an environment needs on disk; a module an environment."""

from __future__ import annotations

import typer

from sdar_cli.cli.data import alfworld, search_qa, webshop

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    add_completion=False,
    help="Fetch, import, check or generate what an environment needs.\n\nUsage: sdar data alfworld --check",
)


@app.callback()
def _data() -> None:
    """Fetch, import, check or generate what an environment needs.

    Usage: sdar data alfworld --check
    """


app.command("alfworld")(alfworld.alfworld)
app.command("webshop")(webshop.webshop)
app.command("search-qa")(search_qa.search_qa)
