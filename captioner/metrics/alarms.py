"""Signs that a captioner has collapsed: everything alike, captions that fit any picture, captions cut off."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from captioner.metrics.scorer import score
from captioner.text.english import ENGLISH_ENDINGS

FEWEST = 20  # pictures; fewer say nothing
ALIKE = 0.1  # share of distinct captions
NO_BETTER = 1.25  # times the score of the same captions on other pictures
CUT_OFF = 0.1  # share of captions


@dataclass(frozen=True)
class Health:
    """What captions of many pictures look like together.

    Attributes:
        pictures: how many.
        empty: share of empty captions.
        distinct: different captions by pictures.
        commonest: the commonest caption, and its share.
        cider_d: of the captions.
        shuffled: CIDEr-D of the same captions, each given to another picture.
        bad_ending: share that ends with a word such as "a" or "of".
        cut_off: share that is as long as captions may be.
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
        """Return the faults, a sentence each; nothing where all is well."""
        if self.pictures < FEWEST:
            return []
        found = []
        if self.empty > CUT_OFF:
            found.append(f"{self.empty:.0%} of the captions are empty: train longer, or on more pictures")
        text, share = self.commonest
        if self.distinct < ALIKE and self.empty <= 0.5:
            found.append(
                f"the captions of {self.pictures:,} pictures are nearly all alike ({share:.0%} are {text!r}): the "
                "model does not look at the pictures; train longer, on more pictures, or with a lower learning rate"
            )
        if self.cider_d < NO_BETTER * self.shuffled or self.cider_d < 0.02:
            found.append(
                f"the captions score CIDEr-D {100 * self.cider_d:.1f}, and {100 * self.shuffled:.1f} when each is "
                "given to another picture: they hardly depend on it; check that features and captions belong together"
            )
        if self.bad_ending > CUT_OFF:
            found.append(
                f"{self.bad_ending:.0%} of the captions end with a word such as 'a' or 'of'; --bad-endings english "
                "forbids it"
            )
        if self.cut_off > CUT_OFF:
            found.append(
                f"{self.cut_off:.0%} of the captions are as long as they may be and are cut off; raise --max-length"
            )
        return found

    def to_json(self) -> dict[str, float]:
        """Return what scores.json keeps of it."""
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
    """Look at the captions of many pictures.

    Args:
        captions: image_id -> the caption's words.
        texts: image_id -> the caption.
        references: image_id -> the picture's references.
        max_length: the most words a caption may have, its end included.
        cider_d: of the captions, where it is known.
        seed: of the shuffling.
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
        bad_ending=sum(bool(words) and words[-1] in ENGLISH_ENDINGS for words in captions.values()) / count,
        cut_off=sum(len(words) >= max_length for words in captions.values()) / count,
    )


def shuffled(texts: Mapping[str, str], seed: int = 0) -> dict[str, str]:
    """Return the captions given to other pictures, none to its own: each to the next in a random circle."""
    ids = list(texts)
    random.Random(seed).shuffle(ids)
    return {image_id: texts[other] for image_id, other in zip(ids, [*ids[1:], *ids[:1]], strict=True)}
