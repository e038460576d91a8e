"""Environments, imported as ``sdar_envs``. A new one is one folder (or file) and one line here."""

BUILTIN = {
    "household": "sdar_envs.household.environment:Household",
    "alfworld": "sdar_envs.alfworld.environment:Alfworld",
    "webshop": "sdar_envs.webshop.environment:Webshop",
    "search-qa": "sdar_envs.search_qa.environment:SearchQa",
}
"""Name → ``module:Class``; imported on use. Others register by entry point ``sdar.environments``."""
