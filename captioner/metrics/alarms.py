"""Signs that a captioner has collapsed: identical captions, captions that ignore the picture, truncated captions."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from captioner.metrics.scorer import score
from captioner.text.english import ENGLISH_ENDINGS

FEWEST = 20  # pictures; with fewer, no alarm is reliable
ALIKE = 0.1  # smallest share of distinct captions
NO_BETTER = 1.25  # smallest ratio of the score to that of the same captions on other pictures
CUT_OFF = 0.1  # largest share of truncated captions


@dataclass(frozen=True)
class Health:
    """Properties of the captions of many pictures.

    Attributes:
        pictures: the number of pictures.
        empty: share of empty captions.
        distinct: number of different captions divided by the number of pictures.
        commonest: the most frequent caption, and its share.
        cider_d: CIDEr-D of the captions.
        shuffled: CIDEr-D of the same captions, each assigned to another picture.
        bad_ending: share of captions that end with a word such as "a" or "of".
        cut_off: share of captions that have the maximum length.
    """

    pictures: int
    empty: float
    distinct: float
    commonest: tuple[str, float]
    cider_d: float
    shuffled: float
    bad_ending: float
    cut_off: float

    def alarms(self) -> list[str]:
        """Return one sentence for each fault; an empty list if there is none."""
        if self.pictures < FEWEST:
            return []
        found = []
        if self.empty > CUT_OFF:
            found.append(f"{self.empty:.0%} of the captions are empty: train longer, or on more pictures")
        text, share = self.commonest
        if self.distinct < ALIKE and self.empty <= 0.5:
            found.append(
                f"the captions of {self.pictures:,} pictures are nearly all the same ({share:.0%} are {text!r}): the "
                "model does not use the pictures; train longer, on more pictures, or with a lower learning rate"
            )
        if self.cider_d < NO_BETTER * self.shuffled or self.cider_d < 0.02:
            found.append(
                f"the captions score CIDEr-D {100 * self.cider_d:.1f}, and {100 * self.shuffled:.1f} when assigned to "
                "other pictures: they hardly depend on the picture; check that features and captions belong together"
            )
        if self.bad_ending > CUT_OFF:
            found.append(
                f"{self.bad_ending:.0%} of the captions end with a word such as 'a' or 'of'; --bad-endings english "
                "prevents this"
            )
        if self.cut_off > CUT_OFF:
            found.append(
                f"{self.cut_off:.0%} of the captions have the maximum length and are cut off; raise --max-length"
            )
        return found

    def to_json(self) -> dict[str, float]:
        """Return the values for scores.json."""
        return {
            "empty": round(self.empty, 6),
            "distinct_captions": round(self.distinct, 6),
            "shuffled_cider_d": round(self.shuffled, 6),
            "bad_endings": round(self.bad_ending, 6),
            "cut_off": round(self.cut_off, 6),
        }


def health(
    captions: Mapping[str, Sequence[str]],
    texts: Mapping[str, str],
    references: Mapping[str, Sequence[str]],
    max_length: int,
    cider_d: float | None = None,
    seed: int = 0,
) -> Health:
    """Measure the captions of many pictures.

    Args:
        captions: image_id -> the caption's words.
        texts: image_id -> the caption.
        references: image_id -> the picture's references.
        max_length: the largest number of words of a caption, including its end.
        cider_d: CIDEr-D of the captions, if it is known.
        seed: seed of the shuffling.
    """
    ids = list(captions)
    count = max(1, len(ids))
    counted: dict[str, int] = {}
    for text in texts.values():
        counted[text] = counted.get(text, 0) + 1
    commonest = max(counted, key=lambda text: counted[text], default="")
    known = {image_id: references[image_id] for image_id in ids}
    if cider_d is None and ids:
        cider_d = score(texts, known, ("cider",)).corpus["cider_d"]
    return Health(
        pictures=len(ids),
        empty=sum(not words for words in captions.values()) / count,
        distinct=len(counted) / count,
        commonest=(commonest, counted.get(commonest, 0) / count),
        cider_d=cider_d or 0.0,
        shuffled=score(shuffled(texts, seed), known, ("cider",)).corpus["cider_d"] if len(ids) > 1 else 0.0,
        bad_ending=sum((text.split() or [""])[-1] in ENGLISH_ENDINGS for text in texts.values()) / count,
        cut_off=sum(len(words) >= max_length for words in captions.values()) / count,
    )


def shuffled(texts: Mapping[str, str], seed: int = 0) -> dict[str, str]:
    """Assign every caption to another picture: the next one in a random cycle."""
    ids = list(texts)
    random.Random(seed).shuffle(ids)
    return {image_id: texts[other] for image_id, other in zip(ids, [*ids[1:], *ids[:1]], strict=True)}
