"""Measures the size of a captioner's graphs and the scores of its captions for each precision of the weights."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from captioner.captioner import load
from captioner.data.dataset import read_captions
from captioner.export.fast import FastCaptioner
from captioner.export.fast_graph import write_graphs
from captioner.export.formats import PRECISIONS
from captioner.metrics.scorer import score


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench precision", description=__doc__)
    parser.add_argument("model", type=Path, help="a run folder or a .keras file")
    parser.add_argument("--pictures", required=True, type=Path, help="a folder of pictures")
    parser.add_argument("--captions", required=True, type=Path, help="their captions")
    parser.add_argument("--split", required=True, type=Path, help="the list of the pictures to caption")
    parser.add_argument("--limit", type=int, help="use only this many from the list (default: all)")
    options = parser.parse_args()
    model, names = load(options.model), options.split.read_text(encoding="utf-8").split()[: options.limit]
    references = read_captions(options.captions)
    ids = [Path(name).stem for name in names]
    captions: dict[str, list[str]] = {}
    print(f"{len(names)} pictures of {options.split}")
    for precision in PRECISIONS:
        with tempfile.TemporaryDirectory() as folder:
            write_graphs(Path(folder), model, "", precision)
            size = sum(path.stat().st_size for path in Path(folder).iterdir())
            quick = FastCaptioner(folder)
            found = quick.caption([options.pictures / name for name in names])
        captions[precision] = [caption.text for caption in found]
        texts = dict(zip(ids, captions[precision], strict=True))
        scores = score(texts, {one: references[one] for one in ids}, ("bleu", "cider")).corpus
        pairs = zip(captions[precision], captions["float32"], strict=True)
        changed = sum(one != other for one, other in pairs)
        print(
            f"{precision:8} {size / 1e6:6.1f} MB  BLEU-4 {100 * scores['bleu_4']:.2f}  "
            f"CIDEr-D {100 * scores['cider_d']:.2f}  {changed} captions differ",
            flush=True,
        )


if __name__ == "__main__":
    main()
