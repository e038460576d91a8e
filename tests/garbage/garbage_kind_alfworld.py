"""ALFWorld's game files, read by `sdar data alfworld`; none is put into the engine. The counts that it prints before it
refuses are left out. Without the alfworld extra, which brings the domain and the grammar, there is no such kind."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import garbage_json as j
import mutations as m
from harness import Call, Kind, Make, Outcome

sys.path.append(str(Path(__file__).parents[1] / "envs"))

import alfworld_files as games

FILE = "data/json_2.1.1/train/mine/trial/game.tw-pddl"
OTHER = "data/json_2.1.1/train/pick_and_place_simple-Mug-None-Desk-301/trial"
GAME = games.content() if games.installed() else {}
TRIAL = {"task_type": "look_at_obj_in_light", "scene": {"größer": [1.5, None]}}
WORDS = ["data", "alfworld", "--data", "data", "--json"]


def lay(folder: Path, game: Any = None, trial: Any = None) -> Call:
    games.write((folder / FILE).parent, GAME if game is None else game, TRIAL if trial is None else trial)
    games.write(folder / OTHER)
    return Call(WORDS)


def silent(call: Call) -> Call:
    return j.silent(call, "sdar_cli.cli.data.alfworld.print_json")


def plain(folder: Path, random: Random) -> Call:
    return lay(folder)


def read_back(outcome: Outcome) -> Any:
    return [
        {key: split[key] for key in ("split", "games", "task_types", "refused")} for split in json.loads(outcome.out)
    ]


SAMPLE = j.JsonSample(
    GAME,
    lambda folder: silent(lay(folder)),
    FILE,
    4 << 20,
    texts=[("pddl_domain",), ("pddl_problem",), ("grammar",), ("walkthrough", 0)],
    strict=[("pddl_domain",), ("pddl_problem",), ("grammar",), ("walkthrough", 0)],
    required=[("pddl_domain",), ("pddl_problem",), ("grammar",)],
    keyed=[("pddl_domain",), ("pddl_problem",), ("grammar",)],
    doubles=[("pddl_domain",), ("pddl_problem",), ("grammar",), ("solvable",), ("walkthrough",)],
    without=frozenset({"missing"}),
)
# A game that does not say that it can be solved is left out, as upstream does: whatever has no flag is no damage.
SOLVABLE = re.compile(rb'"solvable": *true')


def changed(key: str, change: Callable[[str, Random], str], folder: Path, random: Random) -> Call:
    return SAMPLE.call(folder, json.dumps(GAME | {key: change(GAME[key], random)}))


def flagged(klass: str, folder: Path, random: Random) -> Call:
    """Damage of a game that says somewhere that it can be solved, so that it is read."""
    call = j.refused(SAMPLE)[klass](folder, random)
    file = folder / FILE
    if file.is_file() and file.stat().st_size < 5 << 20 and not SOLVABLE.search(file.read_bytes()):
        file.write_bytes(file.read_bytes() + b'\n"solvable": true')
    return call


def sized(folder: Path, random: Random) -> Call:
    text = json.dumps(GAME).encode()
    return SAMPLE.call(folder, text + b" " * random.choice(((4 << 20) + 1 - len(text), 5 << 20)) + b' "solvable": true')


def _domain(text: str, random: Random) -> str:
    """A domain that is not a known one, by one letter or more."""
    place = random.randrange(len(text))
    return random.choice((text[:place] + random.choice(("x", " ", ";", "(")) + text[place:], text[:place], f"{text} "))


def _expression(text: str, random: Random) -> str:
    """Code where the grammar has none, or where it is run."""
    code = random.choice(
        ("{__import__('os').system('touch owned')}", "#intro#", "[x]", "{exit()}", "\\u007bexit()}", "{{")
    )
    place = random.randrange(text.index("Your task is to: ") + 17, text.index("put a mug in desk") + 17)
    return random.choice((text[:place] + code + text[place:], text.replace("You open the", f"You {code} open the", 1)))


def _problem(text: str, random: Random) -> str:
    """PDDL that no translator should see."""
    tokens = re.findall(r"[()]|[^\s()]+", text)
    place = random.randrange(len(tokens))
    way = random.randrange(6)
    if way == 0:
        return " ".join(tokens[:place])
    if way == 1:
        tokens[place] = random.choice((")", "(", "((", "))")) if tokens[place] not in "()" else "x y"
    elif way == 2:
        tokens.insert(
            place, random.choice((")", "(", "()", ";", "{x}", "'x'", "#intro#", "日本", "\x1b[2J", "9x", "::", "?"))
        )
    elif way == 3:
        names = [number for number, token in enumerate(tokens) if token not in "()-" and token != "and"]
        tokens[random.choice(names)] = random.choice(("zzz_unknown", "forall", "when", "1", "x" * 200))
    elif way == 4:
        tokens[place:place] = ["("] * random.choice((20, 5000))
    else:
        return text + random.choice((text, ")", "(:goal (and))", "x"))
    return " ".join(tokens)


def _facts(text: str, random: Random) -> str:
    """Facts and objects that are well-formed and untrue of the domain."""
    old, new = random.choice(
        (
            ("(:domain alfred)", "(:domain other)"),
            ("(pickupable Mug_bar_1)", "(pickupable Desk_bar_1)"),
            ("(pickupable Mug_bar_1)", "(pickupable Mug_bar_2)"),
            ("(pickupable Mug_bar_1)", "(pickupable)"),
            ("(pickupable Mug_bar_1)", "(edible Mug_bar_1)"),
            ("(pickupable Mug_bar_1)", "(= (distance a b) 1)"),
            ("(atLocation agent1 loc_bar_0)", ""),
            ("(atLocation agent1 loc_bar_0)", "(atLocation agent1 loc_bar_0) (atLocation agent1 loc_bar_1)"),
            ("loc_bar_1 - location", "loc_bar_0 - location"),
            ("loc_bar_1 - location", "agent2 - agent"),
            ("Mug_bar_1 - object", "Mug_bar_1 - thing"),
            ("KnifeType - otype", "SpoonType - otype"),
            ("(?o - object)", "(?o - receptacle)"),
            ("(?o - object)", "(?o - object ?o - object)"),
            ("(?o - object)", "(" + " ".join(f"?o{n} - object" for n in range(9)) + " ?o - object)"),
            ("(inReceptacle ?o ?r)", "(inReceptacle ?q ?r)"),
            ("(inReceptacle ?o ?r)", "(or)"),
            ("(inReceptacle ?o ?r)", "(and)"),
        )
    )
    assert old in text
    return text.replace(old, new)


def bomb(folder: Path, random: Random) -> Call:
    """More of something than any game has."""
    many = random.choice((1001, 5000))
    objects = " ".join(f"m{number} - object" for number in range(many))
    text = random.choice(
        (
            games.PROBLEM.replace("Mug_bar_1 - object", f"Mug_bar_1 - object {objects}"),
            games.PROBLEM.replace("(pickupable Mug_bar_1)", "(pickupable Mug_bar_1)" * 20_001),
            games.PROBLEM.replace("(inReceptacle ?o ?r)", "(and " * many + "(inReceptacle ?o ?r)" + ")" * many),
            games.PROBLEM + " " * (1 << 20),
        )
    )
    content = GAME | random.choice(({"pddl_problem": text}, {"walkthrough": ["look"] * (many - 800)}))
    return SAMPLE.call(folder, json.dumps(content))


def control(folder: Path, random: Random) -> Call:
    letter = random.choice([*m.CONTROL, *m.BIDI])
    if random.random() < 0.2:
        call = silent(lay(folder))
        name = letter.replace("\0", "\x01").replace("/", "")
        (folder / FILE).parent.rename((folder / FILE).parent.with_name(f"a{name}b"))
        return call
    key = random.choice(("pddl_domain", "pddl_problem", "grammar", "walkthrough"))
    if key == "walkthrough":
        return SAMPLE.call(folder, json.dumps(GAME | {key: [f"go{letter}to"]}))
    return changed(
        key, lambda text, random: text.replace("(", f"({letter}", 1) if "(" in text else letter, folder, random
    )


def edited(folder: Path, random: Random) -> Call:
    return changed("pddl_domain", _domain, folder, random)


def trial(folder: Path, random: Random) -> Call:
    """The file beside it, which says the type."""
    text = json.dumps(TRIAL, ensure_ascii=False).encode()
    content = random.choice(
        (
            m.cut(text, random),
            m.not_utf8(text, random),
            m.nothing(random),
            json.dumps(m.retyped(TRIAL, ("task_type",), random)).encode(),
            m.spliced(TRIAL, ("task_type",), m.half_pair(random)).encode(),
            m.spliced(TRIAL, ("scene",), m.nested(random)).encode(),
            json.dumps(
                TRIAL | {"task_type": random.choice(("zzz", "", "\x1b[2J", "pick_and_place_with_movable_recep"))}
            ).encode(),
            json.dumps({}).encode(),
        )
    )
    return silent(lay(folder, trial=content))


def place(folder: Path, random: Random) -> Call:
    call = silent(lay(folder))
    if random.random() < 0.5:
        return silent(j.displaced(call, folder / FILE, random, frozenset({"missing"})))
    return silent(j.displaced(call, (folder / FILE).with_name("traj_data.json"), random))


def escape(folder: Path, random: Random) -> Call:
    call = silent(lay(folder))
    way = random.randrange(3)
    if way == 0:
        named = random.choice(
            ("~nobody_here/x", "n" * 300, "/dev/zero", FILE, "a\nb\x1b[2J", "$HOME/none", "data/json_2.1.1/train")
        )
        return Call(["data", "alfworld", "--data", named, "--json"], within=call.within)
    if way == 1:
        name = random.choice(("game.tw-pddl", "traj_data.json"))
        file = (folder / FILE).with_name(name)
        file.rename(folder / name)
        file.symlink_to(random.choice((folder / name, "/etc/passwd", f"../../../../../{name}")))
        return call
    (folder / "data" / "json_2.1.1" / "train" / "link").symlink_to(random.choice(("mine", "..", "/etc", ".")))
    return call


REFUSED: dict[str, Make] = {
    klass: partial(flagged, klass) for klass in j.refused(SAMPLE) if klass not in ("size", "place", "number")
}
REFUSED |= {
    "size": sized,
    "bomb": bomb,
    "control": control,
    "code": partial(changed, "grammar", _expression),
    "edited": edited,
    "flip": partial(changed, "pddl_problem", _problem),
    "number": partial(changed, "pddl_problem", _facts),
    "unknown": trial,
    "place": place,
    "escape": escape,
}


# --- valid ---


def respelt(folder: Path, random: Random) -> Call:
    """The same problem with other white space; other games in the same words."""
    text = games.PROBLEM.replace("(", f"({random.choice(('', ' ', chr(10)))}").replace(
        ")", f"{random.choice(('', chr(9)))})"
    )
    text = random.choice((text, " ".join(text.split()), text.replace("\n", "\r\n")))
    commands = random.choice((games.COMMANDS, [], ["look"] * 200))
    return lay(
        folder, GAME | {"pddl_problem": text, "walkthrough": commands, "more": random.choice((1, None, {"a": []}))}
    )


def goals(folder: Path, random: Random) -> Call:
    words = random.choice(("put a mug in desk", "heat 2 cups (hot), and put it on the shelf's top!", "x" * 400))
    return lay(folder, GAME | {"grammar": GAME["grammar"].replace("put a mug in desk", words[:399])})


def linked(folder: Path, random: Random) -> Call:
    lay(folder)
    (folder / "data").rename(folder / "kept")
    way = random.randrange(3)
    if way == 0:
        (folder / "data").symlink_to("kept")
    elif way == 1:
        (folder / "data").mkdir()
        (folder / "data" / "json_2.1.1").symlink_to(folder / "kept" / "json_2.1.1")
    else:
        (folder / "data" / "json_2.1.1").mkdir(parents=True)
        (folder / "data" / "json_2.1.1" / "train").symlink_to(folder / "kept" / "json_2.1.1" / "train")
    return Call(WORDS)


def spelling(folder: Path, random: Random) -> Call:
    """The flag is looked for as text, so it keeps its place at the end."""
    rest = {key: value for key, value in GAME.items() if key != "solvable"}
    text = m.json_spelling(rest, random).strip().removesuffix("}").rstrip()
    return lay(folder, f'{text}, "solvable":{random.choice(("", " "))}true}}\n'.encode())


KIND = Kind(
    "alfworld",
    plain,
    REFUSED,
    {"spelling": spelling, "problem": respelt, "goal": goals, "link": linked},
    read_back,
    {"cut": lambda folder, random: SAMPLE.call(folder, m.cut(json.dumps(GAME).encode(), random))},
)
KINDS = (KIND,) if games.installed() else ()
