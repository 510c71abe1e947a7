"""Cleaning rules: turn raw captions into the words that a model is trained on. Scores do not use them."""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence

from captioner.config import ConfigError
from captioner.memory import collector_paused
from captioner.text import ptb

_WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)

# Chinese, Japanese, Thai, Lao, Burmese and Khmer have no spaces between words: each letter, with its combining marks,
# counts as a word.
_SPACELESS = (
    "\u3005\u3007\u3041-\u3096\u3099\u309a\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u3105-\u312f\u31f0-\u31ff\u3400-\u4dbf"
    "\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
    "\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ebd\u0ec0-\u0ecd\u0edc-\u0edf\u1000-\u103f\u1050-\u109f\uaa60-\uaa7f\u1780-\u17d3"
)
_HANGING = (
    "\u3099\u309a\uff9e\uff9f\ufe00-\ufe0f\U000e0100-\U000e01ef\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ecd"
    "\u102b-\u103e\u1056-\u1059\u105e-\u1060\u1062-\u1064\u1067-\u106d\u1071-\u1074\u1082-\u108d\u108f\u109a-\u109d\u17b4-\u17d3"
)
_ANY_SPACELESS = re.compile(f"[{_SPACELESS}]")
_ALONE = re.compile(rf"[{_SPACELESS}][{_HANGING}]*|[^{_SPACELESS}]+")
_SIGN = rf"[^\s'.,\-{_SPACELESS}]"
_WORD = re.compile(rf"[{_SPACELESS}][{_HANGING}]*|{_SIGN}+(?:['-]{_SIGN}+|(?<=\d)[.,]\d{_SIGN}*)*")
TWO_SPACELESS = rf"([{_SPACELESS}]) ([{_SPACELESS}])"  # for regular expressions without look-around
BETWEEN_SPACELESS = re.compile(rf"(?<=[{_SPACELESS}]) (?=[{_SPACELESS}])")


def clean_classic(text: str) -> list[str]:
    """Clean as the Flickr8k tutorials do: "A dog's T-shirt, size 2" becomes `dogs tshirt size`.

    Text is lower-cased and split at white space; ASCII punctuation is removed from every token; then tokens with one
    character or with characters other than letters are dropped. This drops "a", so models trained on the result lose
    half their BLEU-4 against raw references.
    """
    words = (word.translate(_WITHOUT_PUNCTUATION) for word in text.lower().split())
    return [word for word in words if len(word) > 1 and word.isalpha()]


def clean_ptb(text: str) -> list[str]:
    """Split text into the tokens used for scoring; see `captioner.text.ptb`.

    In scripts without spaces each letter is a word; the reference tool treats a whole sentence as one word.
    """
    tokens = ptb.tokenize(text)
    return tokens if text.isascii() else [part for token in tokens for part in _ALONE.findall(token)]


def words_of(text: str, rules: str) -> list[str]:
    """Return the words of a caption's text; in a script without spaces, those that the cleaning rules find."""
    return clean_caption(text, rules) if is_spaceless(text) else text.split()


class _Signs(dict[int, str]):
    """A translation table: letters, digits and signs within words are kept, all others become spaces."""

    def __missing__(self, code: int) -> str:
        sign = chr(code)
        kind = unicodedata.category(sign)
        if kind[0] in "LMN" or sign in "'-.,\u200c\u200d":  # the last two join Persian and Hindi letters
            self[code] = sign
        else:
            self[code] = {"’": "'", "‐": "-", "‑": "-"}.get(sign, "" if kind == "Cf" else " ")
        return self[code]


_SIGNS = _Signs()


def clean_lower(text: str) -> list[str]:
    """Split text in any script into words in lower case, without punctuation and symbols.

    A word is a sequence of Unicode letters, marks and digits. Apostrophes and hyphens inside words, and points and
    commas between digits, are kept. Scripts without spaces between words are split into letters.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    return _WORD.findall(text.lower().translate(_SIGNS))


# A rule set maps raw text to words; `ptb` keeps one-letter words, hyphens and numbers, and splits contractions.
RULES: dict[str, Callable[[str], list[str]]] = {"ptb": clean_ptb, "classic": clean_classic, "lower": clean_lower}


def clean_caption(text: str, rules: str) -> list[str]:
    """Return the words of a raw caption under the rule set called `rules`; the list may be empty.

    Raises:
        ConfigError: there is no such rule set; the message names the existing ones.
    """
    return _rule_set(rules)(text)


def clean_captions(captions: Mapping[str, Iterable[str]], rules: str) -> dict[str, list[list[str]]]:
    """Return image_id -> the words of its captions; captions left empty, and pictures without any, are dropped.

    Raises:
        ConfigError: there is no such rule set.
    """
    clean = _rule_set(rules)
    with collector_paused():
        cleaned = ((name, [words for text in texts if (words := clean(text))]) for name, texts in captions.items())
        return {name: picture for name, picture in cleaned if picture}


def _rule_set(rules: str) -> Callable[[str], list[str]]:
    if rules not in RULES:
        raise ConfigError(f"rules: {rules!r} is not known (known: {', '.join(RULES)})")
    return RULES[rules]


def join_words(words: Sequence[str]) -> str:
    """Join words to text: with spaces, except between words of a script without spaces."""
    text = " ".join(words)
    return text if text.isascii() else BETWEEN_SPACELESS.sub("", text)


def is_spaceless(text: str) -> bool:
    """Return whether text has letters of a script without spaces between words."""
    return not text.isascii() and _ANY_SPACELESS.search(text) is not None
