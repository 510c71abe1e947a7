"""The tokenizer for scoring captions: Penn Treebank style, lower case, without punctuation.

Gives the tokens of the COCO caption evaluation's tokenizer (the Stanford PTBTokenizer with `-preserveLines -lowerCase`,
then a fixed list of punctuation removed; Chen et al. 2015, arXiv:1504.00325, section 3), without Java. The rules were
derived from the tool's behaviour, and the tests contain its results.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from string import ascii_lowercase

from captioner.text.ptb_signs import ALPHA, DIGIT, MARK, SYMBOL

# The tokens that the evaluation drops. Names of brackets are kept, since it looks for -LRB- after lower-casing.
PUNCTUATION = frozenset(["''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";"])

# Abbreviations keep their period: always, before a number, if capitalized, or unless all letters are capitals.
ABBREVIATIONS = """
    adj adm adv al ala alex apr ariz assn assoc asst atty attys aug ave bancorp bhd bldg blvd brig bros calif capt
    cf cie cmdr co col colo comdr conn corp cos cpl ct dak dec dept det dr drs elec ens esq est etc ext feb fla fri
    ft ga gen gov govs hon inc ind insp intl invt jan jos jr jul jun kan kans ky lieut lt ltd maj mar md messrs
    mich minn mlle mme mo mon mont mr mrs ms msgr mt natl neb nev nov oct okla penn pfc ph plc pres prof profs pvt
    rd rep reps rev rt sen sens sep sept seq sfc sgt spc sq sr st ste supt supts sys tel tenn thu thurs treas tue
    tues univ va vs vt wed wis wisc wm wyo"""
# The abbreviations before names. The others also keep their period directly before a single letter.
ABBREVIATIONS_BEFORE_NAMES = """
    adj adm adv alex assoc asst atty attys ave brig capt cf cie cmdr col comdr cpl dept det dr drs elec ens ft gen gov
    govs hon insp invt jos lieut lt maj messrs mlle mme mr mrs ms msgr mt natl pfc ph pres prof profs pvt rep reps rev
    sen sens sfc sgt spc st ste supt supts treas vs wm"""
ABBREVIATIONS_BEFORE_NUMBERS = "art ca fig figs no nos op pp prop"
ABBREVIATIONS_WITH_CAPITAL = "ark az del ill la mass miss ore pa tex wash"
ABBREVIATIONS_NOT_ALL_CAPITALS = "mfg mtg ppte pptes ppty pptys pte ptes pty ptys"

# Before these words, if capitalized, the period after a single letter ends the sentence.
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
    "\u00ad": "-", "\u058a": "-", "‐": "-", "‑": "-",
    "&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": "''", "&apos;": "'", "&nbsp;": "", "&mdash;": "--",
    "٫": "", "٬": "",
}  # fmt: skip

_SPECIAL = r"!-/:-@\[-`{-~\u0080\u0091-\u0094\u0096\u0097¢-¤«»¼-¾\u00ad\u058a٫٬‐‑–—―‘’‛“”…‹›⁄₠€⅓⅔"
# Characters that the tool treats as a space, or cannot read and skips: controls, direction marks, emoji, ...
_UNREADABLE = re.compile(rf"[^{ALPHA}{DIGIT}{MARK}{SYMBOL}{_SPECIAL} ]")
_GAP = "\0"  # replaces characters that the tool cannot read; internet addresses may contain it
_APOSTROPHE = "['’\u0092]"
_ANY_APOSTROPHE = "['’\u0092`\u0091‘‛]"
_HYPHEN = r"[-\u058a‐‑]"
_ALPHA, _DIGIT = f"[{ALPHA}]", f"[{DIGIT}]"
_LETTER = f"[{ALPHA}{MARK}\u00ad]"  # in a plain word
_WITHIN = f"[{ALPHA}{MARK}\u00ad{DIGIT}]"  # after the first letter of a plain word
_ALNUM = f"[{ALPHA}{DIGIT}]"  # in a word with hyphens


def _any_of(words: str, *cases: Callable[[str], str]) -> str:
    """Return a group that matches the words, in the cases given."""
    return "(?:" + "|".join(case(word) for word in words.split() for case in cases or [str.lower]) + ")"


_NO_CLITIC = rf"(?!(?i:ll|re|ve)(?!{_ALNUM}))"
_PREFIX = rf"(?:[dDoOlL]{_APOSTROPHE}{_NO_CLITIC}{_ALNUM}(?={_ALNUM}))?"
_INNER_PREFIX = rf"(?:[dDoOlL]{_ANY_APOSTROPHE}{_ALNUM}(?={_ALNUM}))?"  # after a hyphen or an underscore
_PART = r"[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}"  # in a word with slashes

# The longest match wins; of two equally long matches, the first. Rules have no capturing groups, and patterns that
# could scan a whole text without a match have a length limit, so that hostile text does not take quadratic time.
_RULES = [
    # contractions and possessives
    r"(?i:(?:[a-z\u00ad]*[a-mo-z]\u00ad*)?n['’\u0092`]t)",
    r"(?i:'(?:s|ll|re|ve|d|m))(?![A-Za-z])|(?i:[’\u0092](?:s|ll|re|ve|d|m))",
    r"(?i:'t)(?=(?i:is|was))",
    rf"(?i:{_APOSTROPHE}(?:em|til|cause|[0-9]{{2}}(?:s|(?=\s|$))))|(?i:[’\u0092]n{_APOSTROPHE}?|'n(?:{_APOSTROPHE}|(?=\s|$)))",
    # words with an apostrophe inside
    rf"[A-HJ-XZn]{_ANY_APOSTROPHE}{_NO_CLITIC}{_ALPHA}{{2,}}|{_ALPHA}+[aeiouyAEIOUY]{_ANY_APOSTROPHE}(?!(?i:s|d|m|ll|re|ve)(?!{_ALPHA}))[aeiouA-Z]{_ALPHA}*",
    rf"(?i:[a-z]?e{_APOSTROPHE}er|c'mon|s'mores|li'l|nat'l|ev'ry)(?!{_ALNUM})|[cC]{_APOSTROPHE}(?i:est)",
    rf"(?i:[djl]{_APOSTROPHE}(?!s|d|m|ll|re|ve)|y{_APOSTROPHE}(?!s|d|m|ll|re|ve)(?={_LETTER})|ol{_APOSTROPHE}(?!{_ALNUM}))",
    # words: hyphens, slashes and inner periods stay
    rf"{_LETTER}{_WITHIN}*(?:[.!?]{_LETTER}{_WITHIN}*)*",
    rf"{_PREFIX}{_ALNUM}+(?:{_HYPHEN}{_INNER_PREFIX}{_ALNUM}+)*",
    rf"{_PREFIX}{_ALNUM}+(?:[-_]{_INNER_PREFIX}{_ALNUM}+)+|(?i:anti|pro)-(?!{_ALNUM})",
    r"[A-Za-z0-9][A-Za-z0-9.,]{0,60}(?:-(?:(?:[A-Za-z]\.){2,}|[Uu]\.[Ss]|[A-Za-z0-9]+))+",
    rf"{_PART}(?:/{_PART}){{1,2}}",
    r"(?i:[a-z](?:\.[a-z])+\.?|ph\.d\.)(?![A-Za-z])",
    rf"[A-Za-z]\.(?![A-Za-z]| +{_any_of(SENTENCE_STARTS, str.title, str.upper)}(?: |$))",
    rf"{_ALNUM}+(?:-{_ALNUM}+)*\.(?=[,;:、])",
    r"[A-Z]+(?:&[A-Z]+)+|[A-Za-z]\+\+|[CFcf]#|[A-Z]+\$",
    rf"(?i:{_any_of(ABBREVIATIONS)}\.)",
    rf"(?i:{_any_of(ABBREVIATIONS_BEFORE_NUMBERS)}\.)(?=\s?\d)",
    rf"{_any_of(ABBREVIATIONS_WITH_CAPITAL, str.title, str.upper)}\.",
    rf"{_any_of(ABBREVIATIONS_NOT_ALL_CAPITALS, str.lower, str.title)}\.",
    # numbers, dates, fractions, telephone numbers
    r"[-+]?(?:\d*(?:[.:,٫٬\u00ad]\d+)+|\d+)",
    r"\d{1,2}[-/]\d{1,2}[-/]\d{2,4}",
    r"(?:\d{1,4}[- ])?\d{1,4}[/⁄]\d{1,4}",
    r"(?:\(\d{2,3}\) ?|(?:\d{2,4}[- ])?\d{2,4}[- ])\d{3,4}[- ]?\d{3,5}|(?:\d{2,4}\.)?\d{2,4}\.\d{3,4}\.\d{3,5}",
    # internet addresses, user names, hashtags, markup
    r"(?i:https?)://[^\s<>\".]{1,200}\.[^\s<>\"]*[^\s<>\".,!?)-]|www\.[^\s<>\"/']*[^\s<>\"/'.,!?;:)]",
    r"(?:[A-Za-z0-9]{2,63}\.){1,9}(?:com|net|org|edu)(?:/[^\s<>\"]*[^\s<>\".,!?;:)])?",
    r"[A-Za-z0-9][^\s<>\"()|@]{0,60}@(?:[^\s<>\"()|.@]+\.)*[^\s<>\"()|.@]+",
    rf"@[A-Za-z_][A-Za-z_0-9]*|#{_LETTER}+",
    r"<(?:/?[A-Za-z]|!--|\?)[^<>]*>|(?i:&(?:amp|lt|gt|quot|apos|nbsp|mdash);)|&#\d+;",
    # punctuation in a row
    r"[<>]?[:;=][-*o']?[()@\[\]{|\\DPpdO](?![A-Za-z0-9])|:[30](?![A-Za-z0-9])|[-~^<>=']_[-~^<>=']",
    r"\.{3,}|[?!]+|-{5,}|-{1,4}|_+|\*+|\\\*|#+|@+|<<|>>|''|[`‘-‟\u0091-\u0094‹›«»]{2}",
]


@cache
def _longest() -> re.Pattern[str]:
    """Return the rules as one pattern, compiled when the first caption needs it."""
    return re.compile("".join(f"(?:(?=({rule}))|)" for rule in _RULES))


_NOT = re.compile("n['’\u0092`]t", re.IGNORECASE)
_TWO_QUOTES = re.compile("[`‘-‟\u0091-\u0094‹›«»]{2}")
_CLITIC = re.compile("['’\u0092](?:s|ll|re|ve|d|m)", re.IGNORECASE)

# Most captions consist of plain words and end with a period.
_PLAIN = re.compile(r" *([A-Za-z]+(?: +[A-Za-z]+)*)(?= |,|$|(\. *$))")
_LETTER_BEHIND = frozenset(
    " ".join([ABBREVIATIONS, ABBREVIATIONS_WITH_CAPITAL, ABBREVIATIONS_NOT_ALL_CAPITALS]).split()
) - frozenset(ABBREVIATIONS_BEFORE_NAMES.split())
_NOTHING = re.compile(r"(?:[ \0]|[.,](?= |$))+")  # no rule matches these as part of a longer token, and all are dropped
_KEEPS_PERIOD = frozenset(
    " ".join([ABBREVIATIONS, ABBREVIATIONS_WITH_CAPITAL, ABBREVIATIONS_NOT_ALL_CAPITALS, *ascii_lowercase]).split()
)


def tokenize(text: str) -> list[str]:
    """Return the tokens of one caption in lower case without punctuation.

    A line feed counts as a space. Scores compare these tokens of candidates and references.

    >>> tokenize("A man doesn't ride his 10-year-old bike, it's raining!")
    ['a', 'man', 'does', "n't", 'ride', 'his', '10-year-old', 'bike', 'it', "'s", 'raining']
    """
    read = text
    if not (text.isascii() and text.isprintable()):
        text = re.sub(r"\s", " ", text)
        read = _UNREADABLE.sub(_GAP, text)
    tokens: list[str] = []
    position = 0
    while position < len(read):
        plain = _PLAIN.match(read, position)
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
        if nothing := _NOTHING.match(read, position):
            position = nothing.end()
        elif position < len(read):
            longest = _longest().match(read, position)
            match = max(filter(None, longest.groups() if longest else ()), key=len, default=read[position])
            if match[-2:-1] == "." and match[:-2].lower() in _LETTER_BEHIND and not match[-1:].isdigit():
                match = match[:-1]
            if len(match) > 3 and "@" not in match and _NOT.fullmatch(match, len(match) - 3):
                match = match[:-3]  # the text after the word is matched separately, and the match may be longer
            begin, position = position, position + len(match)
            tokens += _written(
                text[begin:position], before_clitic=_CLITIC.match(read, position) or _NOT.match(read, position)
            )
    return tokens if PUNCTUATION.isdisjoint(tokens) else [token for token in tokens if token not in PUNCTUATION]


def _parts(word: str) -> list[str]:
    cut = SPLIT_WORDS.get(word)
    return [word] if cut is None else [word[:cut], word[cut:]]


def _lower(match: str) -> str:
    """Return a match in lower case, like the tool: a sigma is final if no cased letter follows, even after a hyphen."""
    if "Σ" not in match:
        return match.lower()
    cased = [place for place, sign in enumerate(match) if sign.upper() != sign.lower()]
    last = cased[-1] if len(cased) > 1 and match[cased[-1]] == "Σ" else len(match)
    return "".join("ς" if place == last else sign.lower() for place, sign in enumerate(match))


def _written(match: str, before_clitic: re.Match[str] | None) -> list[str]:
    """Return a match as the tool writes it: names of brackets, ASCII punctuation, no-break spaces."""
    if "\u00ad" in match and len(match) > 1:  # a soft hyphen, visible only at the end of a line
        return [_lower(match.replace("\u00ad", ""))]
    word = _lower(match)
    if match.isalpha():
        return [word] if before_clitic else _parts(word)
    if _NOT.fullmatch(word):
        return [word.replace("’", "'")]
    if _CLITIC.fullmatch(word):
        return ["'" + word[1:]]
    if word in ("---", "----") or not word.strip("."):
        return []
    if _TWO_QUOTES.fullmatch(word):
        return ["".join(_SYMBOLS.get(sign, sign) for sign in word)]
    written = _SYMBOLS.get(word, word.replace("(", "-lrb-").replace(")", "-rrb-"))
    return [written.replace(" ", "\u00a0")] if written else []
