"""What is generated and trained on: episodes of random tokens."""

from __future__ import annotations

import random
from dataclasses import dataclass

from sdar_cli.rollout.episode import Episode, Turn
from sdar_envs.base import Task


@dataclass(frozen=True, slots=True)
class Work:
    """Lengths in tokens, of every turn."""

    episodes: int
    turns: int
    prompt: int
    response: int
    skills: int

    @property
    def group(self) -> int:
        return min(8, self.episodes)

    @property
    def student(self) -> list[tuple[int, int]]:
        """Length and response of each row."""
        return [(self.prompt + self.response, self.response)] * (self.episodes * self.turns)

    @property
    def teacher(self) -> list[tuple[int, int]]:
        return [(self.skills + length, asked) for length, asked in self.student]

    def prompts(self, words: int) -> list[list[int]]:
        """One turn's; ids below ``words``, the special ones left out."""
        chooser = random.Random(0)
        return [[chooser.randrange(4, words) for _ in range(self.prompt)] for _ in range(self.episodes)]

    def play(self, words: int) -> list[Episode]:
        """Every second episode is won; a group shares its skills, as they are of its task."""
        chooser = random.Random(1)

        def some(count: int) -> list[int]:
            return [chooser.randrange(4, words) for _ in range(count)]

        episodes, skills = [], []
        for number in range(self.episodes):
            won = bool(number % 2)
            episode = Episode(
                Task(f"task-{number // self.group}", "any"), "", number // self.group, number % self.group
            )
            episode.won, episode.reward, episode.has_task_skill = won, 10.0 * won, True
            if number % self.group == 0:
                skills = some(self.skills)
            for index in range(self.turns):
                prompt, response = some(self.prompt), some(self.response)
                sampled = [-1.0] * self.response
                read = skills + prompt
                episode.turns.append(Turn(index, prompt, read, response, sampled, "", "", "", None, "", 0.0))
            episodes.append(episode)
        return episodes
