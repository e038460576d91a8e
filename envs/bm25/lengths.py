"""Document lengths in one byte, as Lucene's ``SmallFloat`` keeps them: exact to 40, then four significant bits."""

from __future__ import annotations

_EXACT = 24
"""Lengths below this are their own code; above, what exceeds it is a number with a three-bit mantissa."""


def encode(length: int) -> int:
    """The code of a length, 0 to 255; lengths between two codes take the lower."""
    if length < _EXACT:
        return length
    rest = length - _EXACT
    if rest < 8:
        return _EXACT + rest
    shift = rest.bit_length() - 4
    return _EXACT + ((shift + 1) << 3 | (rest >> shift & 7))


def decode(code: int) -> int:
    """The smallest length with this code."""
    if code < _EXACT:
        return code
    shift, mantissa = divmod(code - _EXACT, 8)
    return _EXACT + (mantissa if shift == 0 else (mantissa | 8) << (shift - 1))
