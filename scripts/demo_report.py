"""Show the results of the demo: captions with references, scores, and the scores of captions of the wrong pictures.

python scripts/demo_report.py runs/sample
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from captioner.metrics.scorer import score
from captioner.run_folder import results_of

SAMPLE = Path(__file__).resolve().parents[1] / "data" / "sample"


def read_references(path: Path) -> dict[str, list[str]]:
    """Read captions in Flickr8k's token format: image_id -> its captions."""
    references: dict[str, list[str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        key, caption = line.split("\t")
        references.setdefault(key.rsplit("#", 1)[0].removesuffix(".jpg"), []).append(caption)
    return references


def shuffle(captions: Mapping[str, str]) -> dict[str, str]:
    """Assign each picture's caption to another picture, by rotating the captions half-way."""
    ids = list(captions)
    half = len(ids) // 2
    return {image_id: captions[other] for image_id, other in zip(ids, ids[half:] + ids[:half], strict=True)}


def bleu_4(captions: Mapping[str, str], references: Mapping[str, Sequence[str]]) -> float:
    chosen = {image_id: references[image_id] for image_id in captions}
    return score(captions, chosen, metrics=["bleu"]).corpus["bleu_4"]


def report(run: Path, references: Mapping[str, Sequence[str]], shown: int) -> str:
    """Return the report on a run folder with predictions.json and scores.json."""
    results = results_of(run)
    predictions = json.loads((results / "predictions.json").read_text(encoding="utf-8"))
    captions = {str(entry["image_id"]): entry["caption"] for entry in predictions}
    lines = [f"{len(captions)} unseen pictures; some of them:"]
    for image_id in list(captions)[:: max(1, len(captions) // shown)][:shown]:
        lines += ["", f"{image_id}  {captions[image_id]}"]
        lines += [f"    reference: {caption}" for caption in references[image_id][:2]]
    scores = json.loads((results / "scores.json").read_text(encoding="utf-8"))
    lines += ["", "Scores on the unseen pictures:"]
    lines += [f"  {name:8} {value:.3f}" for name, value in scores.items() if isinstance(value, float)]
    right, wrong = bleu_4(captions, references), bleu_4(shuffle(captions), references)
    lines += [
        "",
        f"BLEU-4 of the captions beside their own pictures {right:.3f}, beside shuffled pictures {wrong:.3f}.",
        "A model that does not look at the pictures would score the same beside both.",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="Show captions, references and scores of a run on the sample.")
    parser.add_argument("run", type=Path, help="the run folder, for example runs/sample")
    parser.add_argument("--captions", type=Path, default=SAMPLE / "captions.txt", help="the references")
    parser.add_argument("--shown", type=int, default=6, help="how many pictures to show")
    arguments = parser.parse_args()
    print(report(arguments.run, read_references(arguments.captions), arguments.shown))


if __name__ == "__main__":
    main()
