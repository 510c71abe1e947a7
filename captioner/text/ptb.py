"""The tokens that captions are scored by: Penn Treebank style, lower case, punctuation dropped.

Gives what the COCO caption evaluation's tokenizer gives (the Stanford PTBTokenizer with `-preserveLines -lowerCase`,
then a fixed list of punctuation removed; Chen et al. 2015, arXiv:1504.00325, section 3), without Java. The rules were
written from the tool's behaviour, and the tests hold its answers.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from string import ascii_lowercase

# What the evaluation drops. The names of brackets are not among it: it looks for -LRB- after lower-casing.
PUNCTUATION = frozenset(["''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";"])

# Abbreviations keep their period: always, before a number, with a capital, or unless all letters are capitals.
ABBREVIATIONS = """
    adj adm adv al ala alex apr ariz assn asst atty aug ave bhd bldg blvd brig bros capt cf cie cmdr co col colo conn
    corp cos cpl ct dak dec dept det dr drs elec ens esq est etc ext feb fla fri ft ga gen gov govs hon inc ind insp
    intl invt jan jos jr jul jun kan kans ky lt ltd maj mar md mich minn mlle mme mo mon mont mr mrs ms msgr mt natl
    neb nev nov oct okla penn pfc ph plc pres prof pvt rd rep reps rev rt sen sens sep sept seq sfc sgt spc sq sr st
    ste supt sys tel tenn thu tue tues univ va vs vt wed wis wisc wm wyo"""
ABBREVIATIONS_BEFORE_NUMBERS = "art ca fig figs no nos op pp prop"
ABBREVIATIONS_WITH_CAPITAL = "ark az del ill la mass miss ore pa tex wash"
ABBREVIATIONS_NOT_ALL_CAPITALS = "mfg mtg ppte ppty pte ptes pty ptys"

# Words that are two tokens, with the length of the first.
SPLIT_WORDS = {"cannot": 3, "gonna": 3, "gotta": 3, "wanna": 3, "lemme": 3, "gimme": 3}

_SYMBOLS = {
    "(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-",
    "£": "#", "€": "$", "¢": "cents", "½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4",
    "“": "``", "”": "''", "«": "``", "»": "''", "‘": "`", "’": "'", "‹": "`", "›": "'", '"': "''",
    "–": "--", "—": "--", "…": "...",
}  # fmt: skip
_ENTITIES = {"&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": '"', "&apos;": "'", "&nbsp;": " "}

_APOSTROPHE = "['’\u0092]"
_LETTER = r"[^\W\d_]"
_ALNUM = r"[^\W_]"


def _any_of(words: str, *cases: Callable[[str], str]) -> str:
    """Return a group that matches the words, in the cases given."""
    return "(?:" + "|".join(case(word) for word in words.split() for case in cases or [str.lower]) + ")"


# The longest match wins; of two equally long ones the first does. No rule may hold a capturing group.
_RULES = [
    # contractions and possessives
    rf"(?i:{_LETTER}*n['’\u0092`]t)(?!{_LETTER})",
    rf"(?i:{_APOSTROPHE}(?:s|ll|re|ve|d|m))(?![A-Za-z])",
    rf"(?i:{_APOSTROPHE}t)(?=(?i:is|was)\b)",
    rf"(?i:{_APOSTROPHE}(?:em|til|cause|n(?:{_APOSTROPHE}|(?![a-z]))|\d\ds?))",
    rf"(?i:[dlo]{_APOSTROPHE}{_LETTER}{{2,}}|ma{_APOSTROPHE}am|(?:ol|y|j){_APOSTROPHE})",
    rf"{_LETTER}+(?={_APOSTROPHE}[nN](?:{_APOSTROPHE}|\b))",
    # words: hyphens, slashes and inner periods stay
    rf"{_LETTER}{_ALNUM}*(?:[.!?]{_LETTER}{_ALNUM}*)*",
    rf"{_ALNUM}+(?:[-_]{_ALNUM}+)*",
    rf"(?:{_LETTER}\.)+(?:{_LETTER}\.?)?(?:-{_ALNUM}+)+|{_ALNUM}+-(?:{_LETTER}\.)+",
    rf"{_ALNUM}+(?:-{_ALNUM}+)*(?:/{_ALNUM}+(?:-{_ALNUM}+)*){{1,2}}",
    r"(?i:[a-z](?:\.[a-z])+\.?|[a-z]\.|ph\.d\.)(?![A-Za-z])",
    r"[A-Z]+&[A-Z]+|[A-Za-z](?:\+\+|#)",
    rf"(?i:{_any_of(ABBREVIATIONS)}\.)(?!{_ALNUM})",
    rf"(?i:{_any_of(ABBREVIATIONS_BEFORE_NUMBERS)}\.)(?=\s?\d)",
    rf"{_any_of(ABBREVIATIONS_WITH_CAPITAL, str.title, str.upper)}\.(?!{_ALNUM})",
    rf"{_any_of(ABBREVIATIONS_NOT_ALL_CAPITALS, str.lower, str.title)}\.(?!{_ALNUM})",
    # numbers, dates, fractions, telephone numbers
    r"[-+]?(?:\d*(?:[.:,]\d+)+|\d+)",
    r"\d{1,2}[-/]\d{1,2}[-/]\d{2,4}",
    r"(?:\d{1,4}[- \u00a0])?\d{1,4}/\d{1,4}",
    r"(?:\(\d{3}\)[- \u00a0]?|(?:\d{1,4}[-. \u00a0]){0,2})\d{3,4}[-. \u00a0]\d{4}",
    # names of the net
    r"https?://[^\s<>\"]*[^\s<>\".,!?;:)]|www\.[^\s<>\"]*[^\s<>\".,!?;:)]",
    r"[A-Za-z0-9.]+@(?:[A-Za-z0-9]+\.)*[A-Za-z0-9]+|[@#][A-Za-z]\w*",
    r"</?[A-Za-z][^<>]*>|&(?:amp|lt|gt|quot|apos|nbsp);",
    # punctuation in a row
    r"[:;=]'?-?[()\[\]]|:-?[DPp](?!\w)",
    r"\.{2,}|[?!]+|-{5,}|-{1,4}|_+|\*+|#+|''|``",
]
_NOT = re.compile("n['’\u0092`]t$")
_LONGEST = re.compile("".join(f"(?:(?=({rule}))|)" for rule in _RULES))

# Most of a caption is a run of plain words, and most captions end in one and a period.
_PLAIN = re.compile(r"\s*([A-Za-z]+(?:\s+[A-Za-z]+)*)(?=\s|,|$|(\.\s*$))")
_KEEPS_PERIOD = frozenset(
    [*f"{ABBREVIATIONS} {ABBREVIATIONS_WITH_CAPITAL} {ABBREVIATIONS_NOT_ALL_CAPITALS}".split(), *ascii_lowercase]
)


def tokenize(text: str) -> list[str]:
    """Return the tokens of one caption in lower case without punctuation.

    A line feed counts as a space. Scores are taken over these tokens, candidates and references alike.
    """
    tokens: list[str] = []
    position = 0
    while position < len(text):
        plain = _PLAIN.match(text, position)
        if plain and not (plain[2] and plain[1].split()[-1].lower() in _KEEPS_PERIOD):
            for word in plain[1].lower().split():
                cut = SPLIT_WORDS.get(word)
                tokens += [word] if cut is None else [word[:cut], word[cut:]]
            position = plain.end(2) if plain[2] else plain.end(1)
        elif text[position].isspace():
            position += 1
        else:
            longest = _LONGEST.match(text, position)
            match = max(filter(None, longest.groups() if longest else ()), key=len, default=text[position])
            position += len(match)
            tokens += _written(match)
    return [token for token in tokens if token not in PUNCTUATION]


def _written(match: str) -> list[str]:
    """Return a match as the tokenizer writes it: brackets by name, typographic signs in ASCII, spaces unbreakable."""
    word = match.lower()
    if match.isascii() and match.isalpha():
        cut = SPLIT_WORDS.get(word)
        return [word] if cut is None else [word[:cut], word[cut:]]
    if _NOT.search(word):
        return [word[:-3], word[-3:].replace("’", "'")] if len(word) > 3 else [word]
    if word[0] == "." or word in ("---", "----"):
        return []
    if word in _ENTITIES:
        return [_ENTITIES[word]]
    if word[0] in "'’" and word[1:] in ("s", "ll", "re", "ve", "d", "m", "t"):
        return ["'" + word[1:]]
    for sign, written in _SYMBOLS.items():
        word = word.replace(sign, written)
    return [word.replace(" ", "\u00a0")]
