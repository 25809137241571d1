"""Comparing names without case. Pure."""

from __future__ import annotations


def fold_case(text: str) -> str:
    """The text in small letters, where no letter becomes one of another alphabet.

    Unicode's own folding makes an ASCII letter of some that are none: the long s (U+017F) becomes s, the Kelvin sign
    (U+212A) becomes k. A name with such a letter is another name: a pattern for ``rg-shop`` must not match it.
    """
    return text.lower() if text.isascii() else "".join(map(_fold, text))


def _fold(letter: str) -> str:
    low = letter.lower()
    return low if letter.isascii() or not low[0].isascii() else letter
