"""How captions are generated: the `generation` section of a recipe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

MOST_WORDS = 4  # in must_include: each word doubles the work
LEAST_TEMPERATURE, MOST_TEMPERATURE = 0.001, 1000.0  # a float32 logit stays finite
LIMITS = {  # so that a file from elsewhere cannot exhaust the machine
    "beam_size": (1, 1000),
    "max_length": (1, 1000),
    "groups": (1, 1000),
    "length_penalty": (0, 10),
    "diversity": (0, 10**6),
    "top_k": (0, 10**9),
    "seed": (0, 2**32 - 1),
    "min_length": (0, 1000),
    "no_repeat_ngram": (0, 1000),
    "consensus": (0, 1000),
}


@dataclass(frozen=True)
class GenerationConfig:
    """How captions are generated.

    Attributes:
        beam_size: hypotheses kept per picture; 1 is greedy search.
        max_length: the largest number of words of a caption, including `<end>`.
        normalization: how log-probabilities of captions of different lengths are made comparable: `average` divides
            them by length ** length_penalty, `wu` by ((5 + length) / 6) ** length_penalty (Wu et al. 2016, eq. 14).
        length_penalty: the exponent of the normalization.
        groups: number of groups in diverse beam search, each with beam_size / groups beams; 1 is plain beam search.
        diversity: subtracted from a word's log-probability for each hypothesis of an earlier group that chose it at the
            same step.
        sampling: draw words at random by their probability instead of beam search.
        temperature: in sampling, logits are divided by it: below 1, likely words become more likely.
        top_k: in sampling, draw only from this number of the most probable words; 0 for all words.
        top_p: in sampling, draw only from the most probable words that together have this probability (the nucleus).
        seed: seed of sampling; the same seed gives the same captions.
        min_length: the smallest number of words of a caption, without `<end>`.
        no_repeat_ngram: no sequence of this many words appears twice in a caption; 0 allows repetition.
        banned_words: words that no caption contains.
        bad_endings: words that no caption ends with, or `english` for words such as "a", "the", "of", "with".
        allow_unk: whether captions may contain `<unk>`.
        start: words that every caption begins with, such as "a photo of".
        must_include: words that every caption contains, in any position; "dog|dogs" requires one of the two.
        prompt: the prompt of a KerasHub model (`hub:PRESET`); other models have no prompt.
        consensus: weight of a caption's consensus, its mean CIDEr-D against the captions of similar training pictures,
            in the choice among the captions of beam search; 0 chooses by probability alone. A wide beam helps. The dev
            scores during training do not use it.
    """

    beam_size: int = 3
    max_length: int = 30
    normalization: Literal["none", "average", "wu"] = "average"
    length_penalty: float = 1.0
    groups: int = 1
    diversity: float = 0.5
    sampling: bool = False
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0
    min_length: int = 0
    no_repeat_ngram: int = 0
    banned_words: tuple[str, ...] = ()
    bad_endings: Literal["english"] | tuple[str, ...] = ()
    allow_unk: bool = False
    start: str = ""
    must_include: tuple[str, ...] = ()
    prompt: str = ""
    consensus: float = 0.0

    def __post_init__(self) -> None:
        for name, (least, most) in LIMITS.items():
            value = getattr(self, name)
            if not least <= value <= most:  # this also refuses NaN
                more = f"at most {most:,}" if value > most else f"{least} or more"
                raise ValueError(f"{name} must be {more}, found {value}")
        if self.beam_size % self.groups:
            raise ValueError(
                f"groups must divide the beam into equal parts, found {self.groups} groups of beam_size "
                f"{self.beam_size}"
            )
        if self.sampling and self.groups > 1:
            raise ValueError(f"groups are for beam search, found {self.groups} with sampling; choose one")
        if self.temperature > MOST_TEMPERATURE:
            raise ValueError(f"temperature must be at most {MOST_TEMPERATURE}, found {self.temperature}")
        if not self.temperature >= LEAST_TEMPERATURE:
            raise ValueError(
                f"temperature must be {LEAST_TEMPERATURE} or more, found {self.temperature}; for the most "
                "probable word, use beam_size 1"
            )
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must be above 0 and at most 1, found {self.top_p}")
        if self.min_length > self.max_length:
            raise ValueError(f"min_length {self.min_length} is above max_length {self.max_length}")
        self._check_must_include()
        for name in ("banned_words", "bad_endings", "must_include"):
            words = getattr(self, name)
            if isinstance(words, str) and (name, words) != ("bad_endings", "english"):
                raise ValueError(f"{name} must be a list of words, found {words!r}")
            if not isinstance(words, str):
                object.__setattr__(self, name, tuple(words))  # a list cannot be hashed

    @property
    def by_consensus(self) -> bool:
        """Whether consensus takes part in the choice of captions; sampled captions are not chosen."""
        return self.consensus > 0 and not self.sampling

    def _check_must_include(self) -> None:
        if self.must_include and (self.sampling or self.groups > 1):
            other = "sampling" if self.sampling else f"{self.groups} groups"
            raise ValueError(f"must_include works only with plain beam search, found it with {other}; choose one")
        if len(self.must_include) > MOST_WORDS:
            raise ValueError(f"must_include takes at most {MOST_WORDS} words, found {len(self.must_include)}")
