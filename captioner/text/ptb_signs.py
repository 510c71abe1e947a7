"""The Unicode characters that the COCO evaluation's tokenizer knows: letters, digits, marks and symbols of 2012.

The tool treats unknown characters as spaces. The lists were measured: every character was given to the tool, alone and
between letters, digits and punctuation.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from unicodedata import category

LAST = 0xFFFF  # the tool reads later characters as two surrogates, and knows neither

# Letters and digits that were added to Unicode after the tool was written.
_LATER_LETTERS = """
    37f 528-52f 560 588 5ef 860-887 889-88e 8a1 8ad-8c9 978 980 9fc af9 c34 c5a-c5d c80 cdd d04 d54-d56 d5f e86 e89
    e8c e8e-e93 e98 ea0 ea8-ea9 eac 13f5-13fd 16f1-16f8 170d 171f 1878 191d-191e 19b0-19c0 19c8-19c9 1b4c 1c80-1cbf
    1cf2-1cf3 1cfa 2c2f 2c5f 312e-312f 31bb-31bf 4db6-4dbf 9fcd-9fff a698-a69d a78f a794-a79f a7ab-a7f7 a8fd-a8fe
    a9e0-a9e4 a9e6-a9ef a9fa-a9fe aa7e-aa7f ab30-ab5a ab5c-ab69 ab70-abbf"""
_LATER_DIGITS = """
    de6-def a9f0-a9f9"""
# Marks that belong to the letter before them: accents and vowel signs of some scripts.
_MARKS = """
    2c2-2c5 2d2-2df 2e5-2eb 2ed 2ef-36f 375 384-385 3f6 483-487 55a-55f 591-5bd 5bf 5c1-5c2 5c4-5c5 5c7 615-61a
    64b-65e 670 6d6-6e4 6e7-6ed 6fd-6fe 70f 711 730-74a 7a6-7b0 7eb-7f3 900-903 93c 93e-94e 951-955 962-963 981-983
    9bc 9be-9cd 9d7 9e2-9e3 a01-a03 a3c-a4d a81-a83 abc abe-acd b82 bbe-bcd c01-c03 c3e-c56 d3e-d48 e31 e34-e3a
    e47-e4e eb1 eb4-ebc ec8-ecd"""
# Signs that are tokens of their own.
_SYMBOLS = """
    24-26 2a 3b-3e 5c 5e 7c 7e a1 a5-a9 ac ae-b4 b6-b9 bf d7 f7 37e 387 589 5be 5c0 5c3 5c6 5f3-603 606-60c 614 61b
    61e-61f 66a 66d 6d4 700-70d 7f6-7f8 964-965 e3f e4f 1fbd 2016-2017 201a 201e-2023 2030-2038 203b 203e-2042 2070
    2074-207e 2080-208e 20a4 2100-2101 2103-2106 2108-2109 2114 2116-2118 211e-2123 2125 2127 2129 212e 213a-213b
    2140-2144 214a-214d 214f 2155-215e 2190-2bff 3001-3002 3012 30fb ff01-ff0f ff1a-ff20 ff3b-ff40 ff5b-ff65
    ffe0-ffe1 ffe5-ffe6"""
_OTHER_LETTERS = "1885 1886"  # marks in Unicode, letters in the tool


def _signs(ranges: str) -> set[int]:
    """Return the signs of ranges that are written in hexadecimal."""
    found: set[int] = set()
    for part in ranges.split():
        first, _, last = part.partition("-")
        found.update(range(int(first, 16), int(last or first, 16) + 1))
    return found


@cache
def _by_category() -> tuple[set[int], set[int]]:
    """Return the letters and the digits of Unicode up to LAST."""
    kinds = [category(chr(code)) for code in range(LAST + 1)]
    letters = {code for code, kind in enumerate(kinds) if kind[0] == "L"}
    return letters, {code for code, kind in enumerate(kinds) if kind == "Nd"}


def _class(codes: Iterable[int]) -> str:
    """Return signs in the form of a character class of a regular expression, without its brackets."""
    pieces: list[list[int]] = []
    for code in sorted(codes):
        if pieces and pieces[-1][1] == code - 1:
            pieces[-1][1] = code
        else:
            pieces.append([code, code])
    return "".join(f"\\u{first:04x}-\\u{last:04x}" for first, last in pieces)


ALPHA = _class(_by_category()[0] - _signs(_LATER_LETTERS) | _signs(_OTHER_LETTERS))
DIGIT = _class(_by_category()[1] - _signs(_LATER_DIGITS))
MARK = _class(_signs(_MARKS))
SYMBOL = _class(_signs(_SYMBOLS))
