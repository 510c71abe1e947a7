"""Cleaning rules: how a raw caption becomes the words that a model learns from. Never how scores are taken."""

from __future__ import annotations

import string
from collections.abc import Callable

from captioner.config import ConfigError
from captioner.text import ptb

_WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)


def clean_classic(text: str) -> list[str]:
    """Clean as the Flickr8k tutorials do: "A dog's T-shirt, size 2" becomes `dogs tshirt size`.

    Lower case, split at white space, ASCII punctuation taken out of every token, then tokens of one letter or with
    anything but letters dropped. It takes the "a" away, so models trained on it lose half their BLEU-4 against raw
    references.
    """
    words = (word.translate(_WITHOUT_PUNCTUATION) for word in text.lower().split())
    return [word for word in words if len(word) > 1 and word.isalpha()]


# A rule set maps raw text to words; `ptb` keeps one-letter words, hyphens and numbers, and takes contractions apart.
RULES: dict[str, Callable[[str], list[str]]] = {"ptb": ptb.tokenize, "classic": clean_classic}


def clean_caption(text: str, rules: str) -> list[str]:
    """Return the words of a raw caption under the rule set called `rules`; the list may be empty.

    Raises:
        ConfigError: there is no such rule set; the message names those that there are.
    """
    if rules not in RULES:
        raise ConfigError(f"rules: {rules!r} is not known (known: {', '.join(RULES)})")
    return RULES[rules](text)
