"""Whether the vLLM server that a recipe names answers, and was started as training needs it."""

from __future__ import annotations

import math
import os
from contextlib import closing

from sdar_cli.checkup.finding import Finding, from_sentence
from sdar_cli.errors import SdarError
from sdar_cli.recipe.schema import Recipe

SERVER_PATIENCE = 10.0
GUARD = "sdar_cli.servers.guard.VllmGuard"
LETTERS_A_TOKEN = 3
"""Of skills. English has more, and no tokenizer is loaded here: what is asked of the server is rather too much than
too little for training, which counts."""


def server(recipe: Recipe, url: str) -> Finding:
    """Whether a vLLM server answers, and was started as training needs it."""
    from sdar_cli.engines.client import Gone, Server
    from sdar_cli.engines.started import check_started

    skills = skills_letters(recipe)
    longest = recipe.rollout.max_prompt_tokens + recipe.rollout.max_response_tokens
    longest += math.ceil((skills or 0) / LETTERS_A_TOKEN)
    try:
        with closing(Server(url, key=os.environ.get("VLLM_API_KEY"), timeout=SERVER_PATIENCE)) as sampler:
            info = sampler.info()
            check_started(
                sampler,
                info,
                logprobs_for=recipe.rollout.sampling,
                adapters=recipe.engine.lora == "hot",
                longest=longest,
                rank=1 if recipe.model.lora is None else recipe.model.lora.rank,
            )
    except Gone as error:
        remedy = "start it as docs/vllm.md says, or correct engine.server_url"
        return Finding("vLLM server", "problem", f"{url} does not answer ({error})", remedy)
    except SdarError as error:
        return from_sentence("vLLM server", str(error))
    taken = "" if info.max_tokens is None else f" and takes {info.max_tokens:,} tokens"
    if _open_to_anybody(sampler.url):
        found = f"{sampler.url} takes weights and files from whoever reaches it"
        return Finding("vLLM server", "problem", found, f"start it with --middleware {GUARD} and VLLM_API_KEY set")
    needed = f"at least {longest:,}, skills not counted," if skills is None else f"about {longest:,} with skills"
    return Finding("vLLM server", "ok", f"{sampler.url} holds {info.model}{taken}; {needed} are needed")


def _open_to_anybody(url: str) -> bool:
    """Whether a server that other machines may reach answers, without a key, on the routes that load weights."""
    from urllib.parse import urlsplit

    from sdar_cli.engines.client import Gone, Server
    from sdar_cli.servers.guard import is_loopback

    if is_loopback(urlsplit(url).hostname or ""):
        return False
    with closing(Server(url, timeout=SERVER_PATIENCE)) as nobody:
        try:
            return nobody.info().development
        except (Gone, SdarError):
            return False


def skills_letters(recipe: Recipe) -> int | None:
    """Letters of all skills as one block, the largest that a prompt may get; None where the environment is not here."""
    from sdar_cli.environments import build_environment
    from sdar_cli.skills.bank import bank_for
    from sdar_cli.skills.block import render_block
    from sdar_cli.skills.retrieval import Retrieval

    try:
        with closing(build_environment(recipe.environment)) as made:
            return len(render_block(Retrieval(tuple(bank_for(recipe.skills, made).skills))))
    except SdarError:
        return None
