"""Was a server started as training needs it? If not, the flag that is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdar_cli.engines.client import EXTENSION
from sdar_cli.errors import UserError

if TYPE_CHECKING:
    from sdar_cli.engines.client import Server, ServerInfo
    from sdar_cli.recipe.schema import Sampling


def check_started(
    server: Server,
    info: ServerInfo,
    *,
    logprobs_for: Sampling | None,
    adapters: bool,
    longest: int | None,
    rank: int = 1,
) -> None:
    """
    Args:
        logprobs_for: the sampling whose log-probs are used; None: they are not.
        adapters: whether it is to take adapters.
        longest: tokens of the longest prompt with its response.
        rank: the adapters'.

    Raises:
        UserError: it was started otherwise.
    """
    if not info.development:
        raise UserError(
            f"the server {server.url} takes no weights, as VLLM_SERVER_DEV_MODE=1 is not set: start it as docs/vllm.md "
            "says"
        )
    if info.extension is None or not info.extension.endswith("Fingerprint"):
        raise UserError(
            f"the server {server.url} cannot say which weights it holds: start it with --worker-extension-cls "
            f"{EXTENSION}"
        )
    raw = info.logprobs_mode not in (None, "processed_logprobs")
    if raw and logprobs_for is not None and not _is_plain(logprobs_for):
        raise UserError(
            f"the server {server.url} gives log-probs before temperature and top_p: start it with --logprobs-mode "
            "processed_logprobs"
        )
    if adapters and info.lora_rank is None:
        raise UserError(
            f"the server {server.url} takes no adapters: start it with --enable-lora, or set engine.lora=merge"
        )
    if adapters and info.lora_rank is not None and info.lora_rank < rank:
        from sdar_cli.engines.colocate import lora_rank

        raise UserError(
            f"the server {server.url} takes adapters up to rank {info.lora_rank} and the run's has {rank}: start it "
            f"with --max-lora-rank {lora_rank(rank)}"
        )
    if longest is not None and info.max_tokens is not None and info.max_tokens < longest:
        raise UserError(
            f"the server {server.url} takes {info.max_tokens} tokens and a prompt with its response may have "
            f"{longest}: start it with --max-model-len {longest}"
        )


def _is_plain(sampling: Sampling) -> bool:
    """Whether log-probs are the same before and after temperature and cuts."""
    return (sampling.temperature, sampling.top_p, sampling.top_k) == (1.0, 1.0, 0)
