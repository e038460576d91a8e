"""Colour names as WebShop's reward reads them: an option's value counts as the first name found in it.

The names and their order (alphabetical) are those of ``web_agent_site/engine/normalize.py`` in
princeton-nlp/WebShop (MIT); both decide scores. A name is found inside of words too: ``standard`` holds
``tan``, ``stainless steel`` holds ``steel``.
"""

from __future__ import annotations

from functools import lru_cache

_LISTED = """
alabaster apricot aqua ash asphalt azure banana beige black blue blush bordeaux bronze brown burgundy camel camo
caramel champagne charcoal cheetah chestnut chocolate christmas coffee cognac copper coral cranberry cream crystal
dark denim eggplant elephant espresso fuchsia gold granite grape graphite grass gray green grey heather indigo ivory
ivy khaki lavender lemon leopard light lilac lime magenta maroon mauve merlot midnight mint mocha multicolor mushroom
mustard natural navy nude olive orange peach pewter pink plum purple rainbow red rose royal rust sand sapphire
seashell silver skull slate steel stone stonewash sunflower tan taupe teal tiger turquoise violet walnut wheat white
wine yellow
"""
COLOURS = tuple(_LISTED.split())


@lru_cache(maxsize=4096)
def normalise(value: str) -> str:
    """The first colour name that ``value`` holds anywhere, else ``value``."""
    return next((colour for colour in COLOURS if colour in value), value)


@lru_cache(maxsize=4096)
def normalise_pair(name: str, value: str) -> str:
    """The same for a synthetic goal's option, which upstream hands over as a tuple.

    ``in`` then asks whether a part of the tuple *is* a colour name, and what is compared later is the
    tuple's text: ``("color", "red")`` gives ``red``, ``("color", "dark red")`` gives
    ``"('color', 'dark red')"``.
    """
    pair = (name, value)
    return next((colour for colour in COLOURS if colour in pair), str(pair))
