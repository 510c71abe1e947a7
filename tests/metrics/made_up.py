"""Made-up captions with the scores that the COCO caption evaluation code gives them, corpus and per picture."""

from captioner.metrics.matching import Candidates, References


def beside(candidates, references):
    """Put one tokenized candidate a picture beside its references."""
    given = {image_id: references[image_id] for image_id in candidates}
    return Candidates(References(given), list(candidates), list(candidates.values()))


def per_image(statistics, candidates):
    """Return image_id -> its scores by key."""
    columns = {key: values.tolist() for key, values in statistics.each().items()}
    return {image_id: {key: column[row] for key, column in columns.items()} for row, image_id in enumerate(candidates)}


def words(caption: str) -> list[str]:
    return caption.split()


CANDIDATES = {
    "a": words("a dog runs across the green grass"),
    "b": words("two dogs dogs dogs"),
    "c": words("a man rides a red bike down the street"),
    "d": [],
}
REFERENCES = {
    "a": [words("a brown dog runs across the grass"), words("the dog is running on green grass")],
    "b": [words("two dogs play"), words("dogs play in the snow with two other dogs"), words("several dogs")],
    "c": [words("a man on a red bike rides down a street")],
    "d": [words("a cat"), words("the cat sleeps")],
}
BLEU = {
    "corpus": (0.8143536761509281, 0.5888603859764905, 0.40662694140238864, 0.27270404446220065),
    "a": (0.9999999997142859, 0.8164965806847213, 0.6436595895358154, 0.5081327479855399),
    "b": (0.7499999998125002, 0.499999999854167, 4.999999998194451e-06, 1.8803015455638737e-08),
    "c": (0.7954127258804594, 0.5166357203258417, 0.3243435699547443, 4.7495495318341754e-05),
    "d": (0.0, 0.0, 0.0, 0.0),
}
ROUGE_L = {
    "corpus": 0.5433989621489621,
    "a": 0.8571428571428571,
    "b": 0.5865384615384615,
    "c": 0.7299145299145299,
    "d": 0.0,
}
CIDER_D = {
    "corpus": 2.0041844604648555,
    "a": 3.3831848150161195,
    "b": 1.0300556441876443,
    "c": 3.603497382655658,
    "d": 0.0,
}
