"""The tokens that captions are scored by: Penn Treebank style, lower case, punctuation dropped.

Gives what the COCO caption evaluation's tokenizer gives (the Stanford PTBTokenizer with `-preserveLines -lowerCase`,
then a fixed list of punctuation removed; Chen et al. 2015, arXiv:1504.00325, section 3), without Java. The rules were
written from the tool's behaviour, and the tests hold its answers.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from string import ascii_lowercase
from unicodedata import category

# What the evaluation drops. The names of brackets are not among it: it looks for -LRB- after lower-casing.
PUNCTUATION = frozenset(["''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";"])

# Abbreviations keep their period: always, before a number, with a capital, or unless all letters are capitals.
ABBREVIATIONS = """
    adj adm adv al ala alex apr ariz assn assoc asst atty attys aug ave bancorp bhd bldg blvd brig bros calif capt
    cf cie cmdr co col colo comdr conn corp cos cpl ct dak dec dept det dr drs elec ens esq est etc ext feb fla fri
    ft ga gen gov govs hon inc ind insp intl invt jan jos jr jul jun kan kans ky lieut lt ltd maj mar md messrs
    mich minn mlle mme mo mon mont mr mrs ms msgr mt natl neb nev nov oct okla penn pfc ph plc pres prof profs pvt
    rd rep reps rev rt sen sens sep sept seq sfc sgt spc sq sr st ste supt supts sys tel tenn thu thurs treas tue
    tues univ va vs vt wed wis wisc wm wyo"""
ABBREVIATIONS_BEFORE_NUMBERS = "art ca fig figs no nos op pp prop"
ABBREVIATIONS_WITH_CAPITAL = "ark az del ill la mass miss ore pa tex wash"
ABBREVIATIONS_NOT_ALL_CAPITALS = "mfg mtg ppte pptes ppty pptys pte ptes pty ptys"

# Before these, with a capital, the period of a single letter ends the sentence.
SENTENCE_STARTS = """
    a about after an as at but he her here however if in it last many more now once one other our she since so some such
    that the their then there these they this we what when while yet you"""

# Words that are two tokens, with the length of the first.
SPLIT_WORDS = {"cannot": 3, "gonna": 3, "gotta": 3, "wanna": 3, "lemme": 3, "gimme": 3}

_SYMBOLS = {
    "(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-",
    "\u0080": "$", "¤": "$", "₠": "$", "€": "$", "£": "#", "¢": "cents",
    "½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4",
    "“": "``", "”": "''", "\u0093": "``", "\u0094": "''", "«": "``", "»": "''", '"': "''",
    "‘": "`", "‛": "`", "\u0091": "`", "‹": "`", "’": "'", "\u0092": "'", "›": "'",
    "\u0096": "--", "\u0097": "--", "–": "--", "—": "--", "―": "--", "…": "...",
    "&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": "''", "&apos;": "'", "&nbsp;": "", "&mdash;": "--",
}  # fmt: skip

# What the tool takes for a space, or cannot read and passes over: controls, marks of direction, emoji, ...
_UNREADABLE = re.compile(
    "[\\s\x00-\x1f\x7f\x81-\x84\x86-\x90\x95\x98-\xa0\u200b-\u200f\u2012\u2024\u2025\u2027-\u202f\u203c\u203d\u205f-\u206f"
    "\u2e80-\u2fff\u3003\u3004\u3007-\u3029\u3030\u3036-\u303f\u3220-\u33ff\ue000-\uf8ff\ufdfc-\ufe6b\ufeff\uffe2-\uffff"
    "\U00010000-\U0010ffff]+"
)
_APOSTROPHE = "['’\u0092]"
_LETTER = r"[^\W\d_²³¹¼-¾⁰-₟⅐-↉①-⓿❶-➓]"
# Vowel signs and accents belong to the word. The tool knows those of Hindi and Thai, and tears words of Kannada or
# Burmese to letters, which helps nobody.
_MARKS = "".join(
    sign for sign in map(chr, range(0x300, 0x1D00)) if category(sign)[0] == "M" and sign not in "\u0488\u0489\u0614"
)
_ALNUM = rf"(?:[^\W_²³¹¼-¾⁰-₟⅐-↉①-⓿❶-➓]|[{_MARKS}])"


def _any_of(words: str, *cases: Callable[[str], str]) -> str:
    """Return a group that matches the words, in the cases given."""
    return "(?:" + "|".join(case(word) for word in words.split() for case in cases or [str.lower]) + ")"


_PREFIX = rf"(?i:[dol]{_APOSTROPHE}(?={_LETTER}{{2}}))?"
_PART = rf"{_ALNUM}+(?:-[A-Za-z]+){{0,2}}"  # of a word with slashes

# The longest match wins; of two equally long ones the first does. No rule may hold a capturing group, and what can
# run over a whole text in vain has a limit: hostile text must not take quadratic time.
_RULES = [
    # contractions and possessives
    rf"(?i:(?:{_LETTER}*(?!n){_LETTER})?n['’\u0092`]t)(?!{_LETTER})",
    r"(?i:'(?:s|ll|re|ve|d|m))(?![A-Za-z])|(?i:[’\u0092](?:s|ll|re|ve|d|m))",
    r"(?i:'t)(?=(?i:is|was))",
    rf"(?i:{_APOSTROPHE}(?:em|til|cause|n(?:{_APOSTROPHE}|(?=\s|$))|\d\d(?:s|(?=\s|$))))",
    # words with an apostrophe inside
    rf"(?i:[nodl]{_APOSTROPHE}{_LETTER}{{2,}}|[a-z]+[aeiouy]{_APOSTROPHE}[aeiou]{_LETTER}*)",
    rf"(?i:[a-z]?e{_APOSTROPHE}er|c'(?:mon|est)|s'mores|li'l|nat'l|ev'ry)(?!{_ALNUM})",
    rf"(?i:[djly]{_APOSTROPHE}(?!s|d|m|ll|re|ve))(?={_LETTER})|(?i:ol{_APOSTROPHE})(?!{_ALNUM})",
    # words: hyphens, slashes and inner periods stay
    rf"{_LETTER}{_ALNUM}*(?:[.!?]{_LETTER}{_ALNUM}*)*",
    rf"{_PREFIX}{_ALNUM}+(?:-{_PREFIX}{_ALNUM}+)*",
    rf"{_ALNUM}+(?:[-_]{_ALNUM}+)+|(?i:anti|pro)-(?!{_ALNUM})",
    r"[A-Za-z0-9][A-Za-z0-9.,]{0,60}(?:-(?:(?:[A-Za-z]\.){2,}|[Uu]\.[Ss]|[A-Za-z0-9]+))+",
    rf"{_PART}(?:/{_PART}){{1,2}}",
    r"(?i:[a-z](?:\.[a-z])+\.?|ph\.d\.)(?![A-Za-z])",
    rf"[A-Za-z]\.(?![A-Za-z]| +{_any_of(SENTENCE_STARTS, str.title, str.upper)}(?: |$))",
    rf"{_ALNUM}+(?:-{_ALNUM}+)*\.(?=[,;:])",
    r"[A-Z]+(?:&[A-Z]+)+|[A-Za-z]\+\+|[CFcf]#|[A-Z]+\$",
    rf"(?i:{_any_of(ABBREVIATIONS)}\.)",
    rf"(?i:{_any_of(ABBREVIATIONS_BEFORE_NUMBERS)}\.)(?=\s?\d)",
    rf"{_any_of(ABBREVIATIONS_WITH_CAPITAL, str.title, str.upper)}\.",
    rf"{_any_of(ABBREVIATIONS_NOT_ALL_CAPITALS, str.lower, str.title)}\.",
    # numbers, dates, fractions, telephone numbers
    r"[-+]?(?:\d*(?:[.:,]\d+)+|\d+)",
    r"\d{1,2}[-/]\d{1,2}[-/]\d{2,4}",
    r"(?:\d{1,4}[- ])?\d{1,4}/\d{1,4}",
    r"(?:\(\d{2,3}\) ?|(?:\d{2,4}[- ])?\d{2,4}[- ])\d{3,4}[- ]?\d{3,5}|(?:\d{2,4}\.)?\d{2,4}\.\d{3,4}\.\d{3,5}",
    # names of the net, marked-up text
    r"(?i:https?)://[^\s<>\".]{1,200}\.[^\s<>\"]*[^\s<>\".,!?)-]|www\.[^\s<>\"/']*[^\s<>\"/'.,!?;:)]",
    r"(?:[A-Za-z0-9]{2,63}\.){1,9}(?:com|net|org|edu)(?:/[^\s<>\"]*[^\s<>\".,!?;:)])?",
    r"[A-Za-z0-9][^\s<>\"()|@]{0,60}@(?:[^\s<>\"()|.@]+\.)*[^\s<>\"()|.@]+",
    rf"[@#](?:{_LETTER}|_)+",
    r"<(?:/?[A-Za-z]|!--|\?)[^<>]*>|(?i:&(?:amp|lt|gt|quot|apos|nbsp|mdash);)|&#\d+;",
    # punctuation in a row
    rf"[<>]?[:;=][-*o']?[()@\[\]{{|\\DPpdO](?!{_ALNUM})|:[30](?!{_ALNUM})|[-~^<>=']_[-~^<>=']",
    r"\.{3,}|[?!]+|-{5,}|-{1,4}|_+|\*+|\\\*|#+|@+|<<|>>|''|``",
]
_LONGEST = re.compile("".join(f"(?:(?=({rule}))|)" for rule in _RULES))
_NOT = re.compile("n['’\u0092`]t")
_CLITIC = re.compile("['’\u0092](?:s|ll|re|ve|d|m)")

# Most of a caption is a run of plain words, and most captions end in one and a period.
_PLAIN = re.compile(r" *([A-Za-z]+(?: +[A-Za-z]+)*)(?= |,|$|(\. *$))")
_NOTHING = re.compile(r"(?: |[.,](?= |$))+")  # no rule takes these further, and both are dropped
_KEEPS_PERIOD = frozenset(
    " ".join([ABBREVIATIONS, ABBREVIATIONS_WITH_CAPITAL, ABBREVIATIONS_NOT_ALL_CAPITALS, *ascii_lowercase]).split()
)


def tokenize(text: str) -> list[str]:
    """Return the tokens of one caption in lower case without punctuation.

    A line feed counts as a space. Scores are taken over these tokens, candidates and references alike.

    >>> tokenize("A man doesn't ride his 10-year-old bike, it's raining!")
    ['a', 'man', 'does', "n't", 'ride', 'his', '10-year-old', 'bike', 'it', "'s", 'raining']
    """
    if not (text.isascii() and text.isprintable()):
        text = _UNREADABLE.sub(" ", text.replace("\u00ad", ""))
    tokens: list[str] = []
    position = 0
    while position < len(text):
        plain = _PLAIN.match(text, position)
        words = plain[1].lower().split() if plain else []
        if plain and plain[2] and words[-1] in _KEEPS_PERIOD:
            words.pop()
            position = plain.end(1) - len(plain[1].rpartition(" ")[2])
        elif plain:
            position = plain.end()
        if SPLIT_WORDS.keys().isdisjoint(words):
            tokens += words
        else:
            tokens += [part for word in words for part in _parts(word)]
        if nothing := _NOTHING.match(text, position):
            position = nothing.end()
        elif position < len(text):
            longest = _LONGEST.match(text, position)
            match = max(filter(None, longest.groups() if longest else ()), key=len, default=text[position])
            position += len(match)
            tokens += _written(match, text[position : position + 2])
    return tokens if PUNCTUATION.isdisjoint(tokens) else [token for token in tokens if token not in PUNCTUATION]


def _parts(word: str) -> list[str]:
    cut = SPLIT_WORDS.get(word)
    return [word] if cut is None else [word[:cut], word[cut:]]


def _written(match: str, following: str) -> list[str]:
    """Return a match as the tool writes it: brackets by name, typographic signs in ASCII, spaces unbreakable."""
    word = match.lower()
    if match.isalpha():
        before_clitic = len(following) == 2 and following[0] in "'’" and following[1].isalpha()
        return [word] if before_clitic else _parts(word)
    if _NOT.fullmatch(word, max(0, len(word) - 3)):
        return [part for part in (word[:-3], word[-3:].replace("’", "'")) if part]
    if _CLITIC.fullmatch(word):
        return ["'" + word[1:]]
    if word in ("---", "----") or not word.strip("."):
        return []
    written = _SYMBOLS.get(word, word.replace("(", "-lrb-").replace(")", "-rrb-"))
    return [written.replace(" ", "\u00a0")] if written else []
