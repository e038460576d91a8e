"""WebShop: buy what a sentence asks for, in a shop that is read as text (Yao et al. 2022, arXiv 2207.01206).

Reward 10 for a purchase whose native score is 1, at the end; the score itself stands beside it. Two catalogues: the
official one, imported by ``sdar data webshop``, and generated ones of any size. All slots of a process share
one store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from sdar_cli.errors import EnvironmentSetupError
from sdar_envs.base import Action, Environment, History, Invalid, Message, Observation, Options, Step, Task
from sdar_envs.tags import parse_tags
from sdar_envs.webshop import brief, catalogue, expert, prompts
from sdar_envs.webshop.actions import HIDDEN, Search, is_hidden, read_action, written
from sdar_envs.webshop.location import store_folder
from sdar_envs.webshop.manifest import MANIFEST
from sdar_envs.webshop.session import RESULTS_PER_PAGE, Session
from sdar_envs.webshop.splits import GoalTasks, fixed_splits, goal_of, legacy_splits
from sdar_envs.webshop.store import Store
from sdar_envs.webshop.titles import matcher_name

FALLBACK_CHARACTERS = 20
BRIEF_SKILLS = Path(__file__).parent / "skills_brief"
WIN = 10.0


class WebshopOptions(Options):
    beside_tasks: ClassVar[frozenset[str]] = frozenset({"data", "brief"})
    only_where: ClassVar[Mapping[str, tuple[str, str]]] = dict.fromkeys(("size", "seed"), ("products", "generated"))

    products: Literal["official", "generated"] = "official"
    data: str | None = None
    """Official products: the folder that ``sdar data webshop`` wrote; null: ``SDAR_WEBSHOP``, else the cache."""
    goals: Literal["synthetic", "human"] = "synthetic"
    """Goals made of products' own texts, one for each choice of options; or goals that people wrote."""
    legacy_split: bool = False
    """Upstream's split, which leaks: most goals of ``test`` are in ``train`` as well. It gives upstream's training
    side, and a ``test`` to play; a panel of that ``test`` is refused: evaluate on ``unseen``, what of it is not
    trained on."""
    brief: bool = False
    """Pages, prompts and skills in very few words, for a tiny model whose tokens are words."""
    size: Annotated[int, Field(ge=1, le=10_000_000)] = 1000
    """Generated products: how many."""
    seed: int = 0
    """Generated products: their seed."""
    train: Annotated[int, Field(ge=1)] | None = None
    """Goals to train on; null: all that are not held out."""
    test: Annotated[int, Field(ge=1)] = 500
    """Goals that are held out."""

    @model_validator(mode="after")
    def _one_source(self) -> WebshopOptions:
        if self.data is not None and self.products == "generated":
            raise ValueError("data holds official products: set products=official, or leave data out")
        return self


class Webshop(Environment):
    """WebShop's text environment, official or generated products."""

    name = "webshop"
    Options = WebshopOptions
    isolation = "inline"
    splits: ClassVar[tuple[str, ...]] = ("train", "test")
    skills = Path(__file__).parent / "skills"

    def __init__(self, options: WebshopOptions) -> None:
        super().__init__(options)
        self.options: WebshopOptions
        if options.legacy_split:
            # What leaks stands in front of the class's splits, with what does not beside it.
            self.splits = ("train", "test", "unseen")  # type: ignore[misc]
        self._tasks: Mapping[str, GoalTasks] | None = None
        self._session: Session | None = None

    @property
    def store(self) -> Store:
        """The shop's stock, one for all instances of a process."""
        return _shared(store_folder(self.options))

    @property
    def title_matcher(self) -> str:
        """How the score compares titles: ``en_core_web_sm`` (spaCy, as upstream) or ``words``."""
        return matcher_name()

    def prepare(self, workers: int = 1, progress: Callable[[int, int], None] | None = None) -> None:
        """Generate the products now, if they are generated ones and not there; ``tasks`` does it otherwise."""
        if self.options.products == "generated":
            catalogue.generate(catalogue.Catalogue(self.options.size, self.options.seed), progress)

    def tasks(self, split: str) -> Sequence[Task]:
        if split not in self.splits:
            raise EnvironmentSetupError(f"webshop has no split {split!r}: use one of {', '.join(self.splits)}")
        if self._tasks is None:
            self.prepare()
            divide = legacy_splits if self.options.legacy_split else fixed_splits
            self._tasks = divide(self.store.goals(self.options.goals), self.options.test, self.options.train)
        return self._tasks[split]

    def reset(self, task: Task) -> Observation:
        per_page = brief.RESULTS_PER_PAGE if self.options.brief else RESULTS_PER_PAGE
        self._session = Session(self.store, goal_of(task), per_page)
        return self._observe(self._session)

    def step(self, action: str) -> Step:
        session = self._session
        if session is None:
            raise RuntimeError("step() before reset()")
        read = read_action(action, loose=self.options.brief)
        session.act(brief.resolve(read, session) if self.options.brief else read)
        score = 0.0 if session.outcome is None else session.outcome.total
        won = score == 1.0
        return Step(self._observe(session), WIN if won else 0.0, session.outcome is not None, won, score)

    def _observe(self, session: Session) -> Observation:
        if self.options.brief:
            return brief.observe(session)
        return Observation(session.page.text, session.page.commands)

    def parse(self, response: str) -> Action | Invalid:
        """Both tags are required, and no search by a hidden command; what is sent all the same where a tag is
        missing is the released code's choice: what stands between action tags, else the response's last 20
        characters."""
        parsed = parse_tags(response, think="optional" if self.options.brief else "required")
        if isinstance(parsed, Action):
            sent = read_action(parsed.text, loose=self.options.brief)
            if isinstance(sent, Search) and is_hidden(sent.words):
                return Invalid(HIDDEN)
            return Action(written(sent)) if self.options.brief and sent is not None else parsed
        lowered = response.lower()
        _, opened, rest = lowered.partition("<action>")
        inner, closed, _ = rest.partition("</action>")
        text = inner if opened and closed else lowered[-FALLBACK_CHARACTERS:]
        return Invalid(parsed.reason, fallback=" ".join(text.split()))

    def prompt(self, history: History) -> list[Message]:
        return prompts.brief_prompt(history) if self.options.brief else prompts.full_prompt(history)

    def followup(self, observation: Observation) -> str:
        commands = observation.admissible
        if self.options.brief:
            return f"now: {observation.text}"
        listed = "\n".join(prompts.quoted(commands))
        return f"{observation.text}\nActions that are possible now:\n{listed}"

    def expert(self, task: Task) -> Sequence[str] | None:
        """Generated products: the way of someone who reads titles and options. Official ones have none."""
        if self.options.products == "official":
            return None
        return expert.plan(self.store, goal_of(task), numbered=self.options.brief)

    def format_response(self, action: str) -> str:
        return f"<action>{action}</action>" if self.options.brief else f"<think></think><action>{action}</action>"

    def describe_skills(self) -> Mapping[str, str] | None:
        """With ``brief``, a bank in as few words; otherwise the folder ``skills`` is taken."""
        if not self.options.brief:
            return None
        return {file.name: file.read_text(encoding="utf-8") for file in sorted(BRIEF_SKILLS.glob("*.md"))}

    def facts(self) -> Mapping[str, str]:
        """How many products, the store's hash, and how titles are compared."""
        found = {}
        if (store_folder(self.options) / MANIFEST).is_file():
            found = {"products": f"{len(self.store):,}", "store": self.store.digest[:16]}
        return found | {"title_matcher": self.title_matcher}

    def vocabulary(self) -> Iterator[str]:
        """Texts that hold every word of the brief form, for a word tokenizer."""
        yield from brief.PHRASES
        for split in ("train", "test"):
            yield from (prompts.brief_goal(task.goal) for task in self.tasks(split))
        yield from map(brief.product_words, self.store.products())


@lru_cache(maxsize=4)
def _shared(folder: Path) -> Store:
    return Store.open(folder)
