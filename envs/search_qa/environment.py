"""Search-QA: questions answered with a search engine, after Search-R1 (Jin et al. 2025, arXiv 2503.09516).

Reward 1 for an answer that equals a golden one, at the end; what the search engine says is never scored. Questions
are official ones, from the parquet files of seven datasets, or generated about a small world. Searches go to
retrieval servers over HTTP, or to a BM25 index in this process.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from sdar_cli.errors import EnvironmentSetupError
from sdar_envs.base import Action, Environment, History, Invalid, Message, Observation, Step, Task
from sdar_envs.search_qa import names, official, prompts
from sdar_envs.search_qa.corpus import Progress, indexed
from sdar_envs.search_qa.facts import source_facts
from sdar_envs.search_qa.generated import World, generate
from sdar_envs.search_qa.options import SearchQaOptions
from sdar_envs.search_qa.parsing import REASONS, parse_response, read_action, tagged, write_action
from sdar_envs.search_qa.questions import make_tasks, wordings
from sdar_envs.search_qa.retrievers import Retriever, shared
from sdar_envs.search_qa.scoring import exact_match
from sdar_envs.search_qa.world import draw_islands

__all__ = ["SearchQa", "SearchQaOptions"]

SKIPPED = {reason: f"(invalid: {reason})" for reason in REASONS}
"""What a slot is sent for an invalid response, so that it counts the turn; by the reason."""
BRIEF_SKILLS = Path(__file__).parent / "skills_brief"


class SearchQa(Environment):
    """Official questions of seven datasets, or generated ones of one to three hops and comparisons."""

    name = "search-qa"
    Options = SearchQaOptions
    isolation = "thread"
    splits: ClassVar[tuple[str, ...]] = official.SPLITS
    means: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "mean of seven": official.DATASETS,
        f"mean without {official.SMALL}": tuple(name for name in official.DATASETS if name != official.SMALL),
    }
    beside_episodes: ClassVar[frozenset[str]] = frozenset(
        {"data", "retriever", "urls", "dialect", "timeout", "tries", "connections"}
    )
    """``facts`` say which retriever is meant, also where the option is left to its default."""
    skills = Path(__file__).parent / "skills"

    def __init__(self, options: SearchQaOptions) -> None:
        super().__init__(options)
        self.options: SearchQaOptions
        self._tasks: dict[str, list[Task]] = {}
        self._retriever: Retriever | None = None
        self._task: Task | None = None
        self._turns = 0
        """Searches and invalid turns so far."""
        self._observation = Observation("")

    def prepare(self, workers: int = 1, progress: Progress | None = None) -> None:
        """Index what is to be searched here, if that is not done; a generated corpus is written first."""
        source = self.options.source
        if isinstance(source, World):
            generate(source, progress)
        elif isinstance(source, Path):
            indexed(source, progress)

    def check(self) -> None:
        """Open what is searched: EnvironmentSetupError when no server answers, or a corpus is malformed."""
        self._retriever = shared(self.options.source)

    def tasks(self, split: str) -> Sequence[Task]:
        if split not in self.splits:
            raise EnvironmentSetupError(f"Search-QA has no split {split!r}: use one of {', '.join(self.splits)}")
        if split not in self._tasks:
            options = self.options
            if options.questions == "official":
                data = options.data
                self._tasks[split] = (
                    official.training_tasks(data) if split == "train" else official.read_tasks(data, split)
                )
            else:
                self._tasks[split] = make_tasks(split, getattr(options, split), options.entities, options.seed)
        return self._tasks[split]

    def reset(self, task: Task) -> Observation:
        if self._retriever is None:
            self.check()
        self._task, self._turns = task, 0
        return self._observe(f"{task.goal}\n{prompts.HINT}")

    def step(self, action: str) -> Step:
        """Search or answer. An invalid turn observes the same again; anything else gets a hint and is no turn.

        Raises RetrievalError when no server gave a usable answer: the episode is lost, not failed.
        """
        if self._task is None or self._retriever is None:
            raise RuntimeError("step() before reset()")
        if action in SKIPPED.values():
            self._turns += 1
            return Step(self._observation, 0.0, done=False)
        move = read_action(action)
        if move is None:
            return Step(self._observe(prompts.HINT), 0.0, done=False)
        kind, text = move
        if kind == "answer":
            won = exact_match(text, self._task.data["targets"])
            said = prompts.RIGHT if won else prompts.WRONG.format(answer=self._task.data["targets"][0])
            return Step(Observation(said), float(won), True, won, float(won))
        if self._turns >= self.options.max_searches:
            return Step(Observation(prompts.OUT_OF_SEARCHES), 0.0, done=True)
        self._turns += 1
        query = text.encode("utf-8", "replace").decode()  # half a surrogate pair cannot be sent
        found = self._retriever.search(query, self.options.topk)
        return Step(self._observe(prompts.information(found)), 0.0, done=False)

    def _observe(self, text: str) -> Observation:
        self._observation = Observation(text)
        return self._observation

    def parse(self, response: str) -> Action | Invalid:
        """Reasoning, then one search or one answer. Of an invalid response the slot learns the reason alone."""
        parsed = parse_response(response)
        return Invalid(parsed.reason, SKIPPED[parsed.reason]) if isinstance(parsed, Invalid) else parsed

    def prompt(self, history: History) -> list[Message]:
        if self.options.brief:
            return prompts.brief_prompt(history)
        return prompts.full_prompt(history, self.options.max_searches)

    def followup(self, observation: Observation) -> str:
        return prompts.brief(observation.text) if self.options.brief else prompts.full_followup(observation)

    def expert(self, task: Task) -> Sequence[str] | None:
        """Generated questions: each name looked up as soon as it is known, then the answer, which the last page
        states. None for official ones."""
        if "searches" not in task.data:
            return None
        searches = [write_action("search", name) for name in task.data["searches"]]
        return (*searches, write_action("answer", task.data["targets"][0]))

    def format_response(self, action: str) -> str:
        return f"<think></think>{tagged(action)}"

    def describe_skills(self) -> Mapping[str, str] | None:
        """With ``brief``, a bank in as few words; otherwise the folder ``skills`` is taken."""
        if not self.options.brief:
            return None
        return {file.name: file.read_text(encoding="utf-8") for file in sorted(BRIEF_SKILLS.glob("*.md"))}

    def facts(self) -> Mapping[str, str]:
        """The retriever; of a corpus that is indexed here, how many documents and a hash."""
        return source_facts(self.options.source)

    def vocabulary(self) -> Iterator[str]:
        """Texts that hold every word of the generated world, for a word tokenizer."""
        for first, second in (names.COUNTRY, names.CITY, names.PERSON, names.WORK):
            yield from (*first, *second)
        yield from (*names.KINDS, *names.BIRTH_YEARS, *names.FOUNDING_YEARS)
        for island in draw_islands(1, 0):
            yield from (text for _, text in island.pages)
            yield from wordings(island)
        yield from (*REASONS, prompts.HINT, prompts.NOTHING_FOUND, prompts.OUT_OF_SEARCHES, prompts.RIGHT)
        yield from (
            prompts.WRONG,
            prompts.BRIEF,
            "search: <search></search> answer: <answer></answer> (invalid: nothing)",
        )
