"""A small world and a scripted policy, for tests of the turn loop."""

from __future__ import annotations

from collections.abc import Sequence

from sdar_cli.models.tiny import build_tokenizer
from sdar_cli.recipe.schema import Skills
from sdar_cli.rollout.context import Context
from sdar_cli.rollout.loop import RolloutLoop
from sdar_cli.rollout.policies import Generation
from sdar_cli.rollout.pool import Pool
from sdar_cli.skills.bank import SkillBank
from sdar_cli.skills.retrieval import make_retriever
from sdar_envs.base import Action, Environment, History, Invalid, Observation, Options, Step, Task

BANK = SkillBank.from_texts(
    {
        "general": "---\nname: general\ndescription: g\ntask_types: []\nkeywords: []\n---\nCount with care.\n",
        "count": "---\nname: count\ndescription: c\ntask_types: [count]\nkeywords: []\n---\nSay one after another.\n",
    }
)


class Counter(Environment):
    """Say ``go`` as often as the task wants; ``bad`` loses, ``crash`` breaks the engine, ``nan`` its reward."""

    name = "counter"

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.left = 0

    def tasks(self, split: str) -> Sequence[Task]:
        return [Task(f"{split}-{n}", "count", f"say go {n} times", {"n": n}) for n in range(1, 5)]

    def reset(self, task: Task) -> Observation:
        self.left = task.data["n"]
        return self._look()

    def step(self, action: str) -> Step:
        if action == "crash":
            raise RuntimeError("engine broke")
        if action == "nan":
            return Step(self._look(), float("nan"), False)
        if action == "bad":
            return Step(self._look(), 0.0, True)
        self.left -= action == "go"
        return Step(self._look(), float(self.left == 0), self.left == 0, self.left == 0, float(self.left == 0))

    def parse(self, response: str) -> Action | Invalid:
        words = response.split()
        if not words:
            return Invalid("empty")
        return Invalid("mumble", fallback="go") if words[0] == "mumble" else Action(words[0])

    def prompt(self, history: History) -> list[dict[str, str]]:
        shown = " ".join(f"{past.observation.text} {past.action}" for past in history.recent)
        return [{"role": "user", "content": f"{history.goal} after {shown} now {history.observation.text}"}]

    def _look(self) -> Observation:
        return Observation(f"{self.left} left", ("go", "bad"))


TEXTS = [
    "say go times after now left 0 1 2 3 4 bad crash nan mumble",
    "Count with care. Say one after another. (invalid: empty)",
    *(skill.body for skill in BANK.skills),
]


def tokenizer():
    return build_tokenizer(TEXTS)


class Script:
    """Answers by a function of the turn's number and the prompt's text; keeps what it was asked."""

    def __init__(self, made, answer) -> None:
        self.tokenizer, self.answer = made, answer
        self.asked: list[list[str]] = []

    def generate(self, prompts):
        texts = [self.tokenizer.decode(ids) for ids in prompts]
        self.asked.append(texts)
        out = []
        for text in texts:
            reply = self.answer(len(self.asked) - 1, text)
            ids = self.tokenizer(reply, add_special_tokens=False)["input_ids"]
            out.append(Generation([*ids, self.tokenizer.eos_token_id]))
        return out


def context(made, **changes) -> Context:
    values = {
        "environment": Counter(Options()),
        "tokenizer": made,
        "kind": "window",
        "window": 2,
        "max_prompt_tokens": 200,
        "placement": "user",
        "template_kwargs": {},
        "policy_sees_skills": False,
        "teacher": True,
    }
    return Context(**values | changes)


def loop(answer, *, made=None, max_turns=6, kind="window", **changes) -> tuple[RolloutLoop, Script]:
    made = made or tokenizer()
    environment = Counter(Options())
    script = Script(made, answer)
    own = context(made, environment=environment, kind=kind, **changes)
    return (
        RolloutLoop(
            environment=environment,
            pool=Pool(Counter, Options(), workers=1, timeout=10),
            context=own,
            policy=script,
            retriever=make_retriever(BANK, Skills(), 0),
            decode=lambda ids: made.decode(ids, skip_special_tokens=True),
            ends={made.eos_token_id},
            max_turns=max_turns,
        ),
        script,
    )
