"""The words of the household world: task types, verbs, stations, places and things."""

from __future__ import annotations

TASK_TYPES = (
    "pick_and_place_simple",
    "look_at_obj_in_light",
    "pick_clean_then_place_in_recep",
    "pick_heat_then_place_in_recep",
    "pick_cool_then_place_in_recep",
    "pick_two_obj_and_place",
)
"""ALFWorld's six, under its names."""

VERBS: dict[str, tuple[str, str]] = {
    "pick_and_place_simple": ("store", "stow"),
    "look_at_obj_in_light": ("examine", "inspect"),
    "pick_clean_then_place_in_recep": ("wash", "rinse"),
    "pick_heat_then_place_in_recep": ("boil", "toast"),
    "pick_cool_then_place_in_recep": ("chill", "freeze"),
    "pick_two_obj_and_place": ("pack", "gather"),
}
"""Task type → its two verbs."""

TYPE_OF = {verb: task_type for task_type, verbs in VERBS.items() for verb in verbs}
ALL_VERBS = tuple(TYPE_OF)

KEEPING = frozenset(VERBS["pick_and_place_simple"] + VERBS["pick_two_obj_and_place"])
"""Verbs whose station keeps the thing; the other verbs hand it back, to be put on a named place."""

STATIONS = (
    "sink",
    "kettle",
    "oven",
    "toaster",
    "fridge",
    "freezer",
    "lamp",
    "mirror",
    "cabinet",
    "drawer",
    "chest",
    "basket",
)
"""Furniture and appliances; each serves one verb, and which one is the rulebook's secret."""

PLACES = (
    "desk",
    "shelf",
    "bed",
    "table",
    "sofa",
    "stool",
    "bench",
    "rug",
    "counter",
    "dresser",
    "ledge",
    "stand",
)
"""Where things lie at the start and are put in the end."""

THINGS = (
    "mug",
    "cup",
    "plate",
    "bowl",
    "fork",
    "spoon",
    "knife",
    "pan",
    "pot",
    "book",
    "pen",
    "pencil",
    "apple",
    "potato",
    "tomato",
    "bread",
    "lettuce",
    "egg",
    "cloth",
    "soap",
    "vase",
    "watch",
    "candle",
    "pillow",
)


def preposition(verb: str) -> str:
    """``in`` for verbs whose station keeps the thing, ``with`` for the others."""
    return "in" if verb in KEEPING else "with"
