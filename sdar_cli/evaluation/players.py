"""Who plays a panel with given weights: Hugging Face here, vLLM started for it, or a server."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from sdar_cli.engines.make import head_size
from sdar_cli.engines.patience import Patience
from sdar_cli.errors import RunFailed, UserError
from sdar_cli.models.adapter_folder import adapter_base, is_adapter
from sdar_cli.models.folder import GENERATION, check_folder, declared_ends
from sdar_cli.models.hub import check_id
from sdar_cli.models.quantised import Quantised, is_quantised
from sdar_cli.models.settings_files import ends_of
from sdar_cli.models.whose_code import check_base
from sdar_cli.rollout.policies import end_tokens

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

    from sdar_cli.engines.client import Server
    from sdar_cli.engines.engine import Engine
    from sdar_cli.evaluation.evaluator import Evaluator
    from sdar_cli.evaluation.result import Evaluation, Mode
    from sdar_cli.rollout.episode import Episode


@dataclass
class Player:
    """Plays with the weights of a folder or hub id.

    Args:
        engine: ``hf``, ``vllm`` or a URL.
        folder: where weights are put for a server; every one must see it under this path.
        alone: no other weights are played in this evaluation.
        quantised: how weights without an adapter are held.
        own: see ``load_model``.
    """

    engine: str
    evaluator: Evaluator
    path: str
    tokenizer: PreTrainedTokenizerBase
    folder: Path
    alone: bool
    say: Callable[[str], None]
    quantised: Quantised | None = None
    own: str | None = None

    @cached_property
    def model(self) -> PreTrainedModel:
        """By Hugging Face, loaded when it is first needed."""
        import torch

        from sdar_cli.models.load import check_vocabulary, load_model

        recipe = self.evaluator.workshop.recipe.model
        trust = recipe.trust_remote_code
        model = load_model(self.path, trust_remote_code=trust, quantised=self.quantised, own=self.own)
        check_vocabulary(model, self.tokenizer)
        if not torch.cuda.is_available() or is_quantised(model):  # four bits are where they belong, and stay so
            return model
        return model.to("cuda", getattr(torch, recipe.dtype))

    @contextmanager
    def playing(self) -> Iterator[Callable[..., tuple[Evaluation, list[Episode]]]]:
        """Yields what plays a mode: ``play(mode, **about)``."""
        if self.engine == "hf":
            yield lambda mode, **about: self.evaluator.play_model(self.model, self.tokenizer, mode, **about)
            return
        engine = self._offline() if self.engine == "vllm" else self._server()
        try:
            yield lambda mode, **about: self._play(engine, mode, **about)
        finally:
            engine.close()

    def _play(self, engine: Engine, mode: Mode, **about: Any) -> tuple[Evaluation, list[Episode]]:
        evaluation = self.evaluator.workshop.recipe.evaluation
        with engine.drawing(evaluation.sampling, "evaluation", evaluation.panel_seed, 0):
            return self.evaluator.play(engine, self.tokenizer, set(engine.ends), mode, engine=engine.name, **about)

    def _offline(self) -> Engine:
        """Raises RecipeError where vLLM is not installed, ModelError where it cannot run the model."""
        from sdar_cli.engines.make import check_installed
        from sdar_cli.engines.offline import OfflineEngine

        recipe = self.evaluator.workshop.recipe
        trust = recipe.model.trust_remote_code
        check_installed("--engine vllm", "evaluate with --engine hf", head_size(_config(self.path, trust, self.own)))
        ends = _declared_ends(self.path, self.tokenizer, trust, self.own)
        with self._plain_weights() as path:
            return OfflineEngine(path, recipe, recipe.evaluation.sampling, ends, self._longest(), self.own)

    @contextmanager
    def _plain_weights(self) -> Iterator[str]:
        """The folder as it is; or, where vLLM would make another policy of it, one with everything merged."""
        from sdar_cli.models.merge import load_whole, serves_as_it_is

        if serves_as_it_is(self.path, self.quantised):
            yield self.path
            return
        trust, own = self.evaluator.workshop.recipe.model.trust_remote_code, self.own
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=self.folder.parent, prefix=f"{self.folder.name}-") as scratch:
            load_whole(self.path, trust_remote_code=trust, quantised=self.quantised, own=own).save_pretrained(scratch)
            self.tokenizer.save_pretrained(scratch)
            yield scratch

    def _server(self) -> Engine:
        """One that takes weights gets them; another must hold them already.

        Raises:
            UserError: it holds another model, or would have to hold two.
            RunFailed: it does not answer.
        """
        from sdar_cli.engines.client import Gone, Server

        timeout = self.evaluator.workshop.recipe.engine.request_timeout
        server = Server(self.engine, key=os.environ.get("VLLM_API_KEY"), timeout=timeout)
        with ExitStack() as until_it_works:
            until_it_works.callback(server.close)
            try:
                info = server.info()
                engine = self._given(server) if info.development else self._found(server, info.model)
            except Gone as error:
                raise _away(server, error) from error
            until_it_works.callback(engine.close)
            engine.sync(0)
            until_it_works.pop_all()
        return engine

    def _given(self, server: Server) -> Engine:
        from sdar_cli.engines.server import ServerEngine
        from sdar_cli.engines.weights import ModelSource

        recipe = self.evaluator.workshop.recipe
        return ServerEngine(
            [server],
            ModelSource(self.model),
            folder=self.folder,
            sampling=recipe.evaluation.sampling,
            max_response_tokens=recipe.rollout.max_response_tokens,
            ends=end_tokens(self.model, self.tokenizer),
            patience=Patience(recipe.engine.patience),
            longest=self._longest(),
            needs_logprobs=False,
            vocabulary=self.model.config.get_text_config().vocab_size,
            say=self.say,
        )

    def _found(self, server: Server, name: str) -> Engine:
        from sdar_cli.engines.canary import check_holds
        from sdar_cli.engines.foreign import ForeignEngine

        if not self.alone:
            raise UserError(
                f"base and checkpoint are to be played and the server {server.url} takes no weights, so it has one of "
                "them at most: start it as docs/vllm.md says, or evaluate with --engine vllm"
            )
        check_holds(server, name, self.model, self.tokenizer, repr(self.path))
        recipe = self.evaluator.workshop.recipe
        return ForeignEngine(
            server,
            name,
            recipe.evaluation.sampling,
            recipe.rollout.max_response_tokens,
            end_tokens(self.model, self.tokenizer),
            Patience(recipe.engine.patience),
        )

    def _longest(self) -> int:
        from sdar_cli.training.build import longest_sequence

        workshop = self.evaluator.workshop
        return longest_sequence(workshop.recipe, workshop, self.tokenizer)


def engine_name(engine: str) -> str:
    """What an ``Evaluation`` calls the engine of ``--engine``: a server that takes weights is vLLM, another is some
    ``server``. Raises RunFailed where it does not answer."""
    if engine in ("hf", "vllm"):
        return engine
    from sdar_cli.engines.client import Gone, Server

    server = Server(engine, key=os.environ.get("VLLM_API_KEY"))
    try:
        return "vllm" if server.info().development else "server"
    except Gone as error:
        raise _away(server, error) from error
    finally:
        server.close()


def _away(server: Server, why: Exception) -> RunFailed:
    return RunFailed(f"the server {server.url} does not answer ({why}): start it, or evaluate with --engine vllm")


def _base_of(path: str) -> str:
    return adapter_base(path) if is_adapter(path) else path


def _config(path: str, trust_remote_code: bool, own: str | None) -> PretrainedConfig:
    from transformers import AutoConfig

    base = _base_of(path)
    if base != path:
        check_base(path, base, own=own, trust_remote_code=trust_remote_code)
    check_folder(base, weights=False)
    check_id(base)
    return AutoConfig.from_pretrained(base, trust_remote_code=trust_remote_code)


def _declared_ends(path: str, tokenizer: PreTrainedTokenizerBase, trust_remote_code: bool, own: str | None) -> set[int]:
    """``end_tokens`` of a model that is not loaded."""
    from transformers import GenerationConfig

    base = _base_of(path)
    declared = declared_ends(base)
    if declared is None:
        try:
            found = GenerationConfig.from_pretrained(base).eos_token_id
        except OSError:
            found = _config(path, trust_remote_code, own).get_text_config().eos_token_id
        declared = ends_of({"eos_token_id": found}, Path(base) / GENERATION)
    return {*declared, tokenizer.eos_token_id}
