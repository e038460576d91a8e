"""The text of the household world: observations, commands, the prompt."""

from __future__ import annotations

from sdar_envs.base import History, Message
from sdar_envs.household.words import ALL_VERBS, preposition
from sdar_envs.household.world import World

NOTHING = "Nothing happens."

FORMAT = "Reply with one command inside <action> and </action>."


def command(action: tuple[str, ...]) -> str:
    """The command for an action of ``World.admissible``: ``("take", "mug", "desk")`` → ``take mug``."""
    match action:
        case ("go", spot):
            return f"go to {spot}"
        case ("take", thing, _):
            return f"take {thing}"
        case ("put", thing, place):
            return f"put {thing} on {place}"
        case (verb, thing, station) if verb in ALL_VERBS:
            return f"{verb} {thing} {preposition(verb)} {station}"
    return " ".join(action)


def listing(world: World) -> str:
    """What lies in the room, or where the agent stands: ``You see: mug on desk, pen on bed.``"""
    seen = ", ".join(f"{thing} on {place}" for thing, place in world.visible() if world.here in (None, place))
    return f"You see: {seen or 'nothing'}."


def surroundings(world: World) -> str:
    """What the hand holds, or else what could be taken."""
    return f"You hold the {world.held}." if world.held else listing(world)


def outcome(action: tuple[str, ...], world: World) -> str:
    """What is observed after ``action`` has been applied to ``world``."""
    match action:
        case ("look",):
            return surroundings(world)
        case ("go", spot):
            return f"You stand at the {spot}. {surroundings(world)}"
        case ("take", thing, place):
            return f"You take the {thing} from the {place}."
        case ("close", station):
            said = f"You close the {station}."
        case ("put", thing, place):
            said = f"You put the {thing} on the {place}."
        case (verb, thing, station):
            if world.spoilt:
                return f"The {thing} is spoilt."
            said = f"You {verb} the {thing} {preposition(verb)} the {station}."
    if world.won:
        return f"{said} All is done."
    if world.open_stations:
        said += f" The {world.open_stations[-1]} is open."
    return f"{said} {listing(world)}" if world.held is None and world.waiting else said


def prompt(history: History, show_admissible: bool) -> list[Message]:
    """One user message: the task, the turns of the window, the current observation, maybe the commands."""
    lines = [f"Task: {history.goal}"]
    if history.turns:
        lines.append(f"Steps taken: {len(history.turns)}.")
    lines += [f"{past.observation.text} > {past.action}" for past in history.recent]
    lines.append(f"Now: {history.observation.text}")
    if show_admissible:
        lines.append("Commands:")
        lines += [f"'{text}'" for text in history.observation.admissible]
        lines.append(FORMAT)
    return [{"role": "user", "content": "\n".join(lines)}]
