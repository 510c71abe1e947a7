"""An evaluated run of drawn pictures, as train and evaluate leave it."""

import csv

import numpy as np
from PIL import Image, ImageDraw

from captioner.config import dump_yaml
from captioner.features.store import write_features
from captioner.metrics.scorer import score
from captioner.results import write_scores
from captioner.storage import digest_file, write_manifest

COLOURS, SHAPES = ("red", "green", "blue", "grey"), ("ball", "box")
PICTURES = 14
TRAINED_ON = ("p00", "p01", "p02", "p03", "p04", "p05")


def make_run(folder):
    """Write pictures, captions and runs/tiny under `folder`; return the run folder."""
    (folder / "images").mkdir()
    references, candidates, lines = {}, {}, []
    for index in range(PICTURES):
        colour, shape = COLOURS[index % 4], SHAPES[index // 4 % 2]
        name = f"p{index:02}"
        picture = Image.new("RGB", (320, 240), "white")
        draw = ImageDraw.Draw(picture)
        (draw.ellipse if shape == "ball" else draw.rectangle)((60, 40, 240, 200), fill=colour)
        picture.save(folder / "images" / f"{name}.png")
        references[name] = (f"A {colour} {shape} .", f"There is a {colour} {shape} <b>here</b> </script> .")
        lines += [f"{name}.png#{number}\t{text}\n" for number, text in enumerate(references[name])]
        candidates[name] = f"a {colour} {shape}" if index % 3 else "a green thing"
    (folder / "captions.txt").write_text("".join(lines))
    run = folder / "runs" / "tiny"
    scores = score(candidates, references, ["bleu", "rouge", "cider", "diversity"])
    write_scores(scores, candidates, run, {"split": "dev", "beam_size": 3, "n": 1})
    write_manifest(run / "scores.json", "evaluate", attention=False, generation={})
    (folder / "train.txt").write_text("".join(f"{name}.png\n" for name in TRAINED_ON))
    write_features(folder / "features.pkl", {name: look(index) for index, name in enumerate(references)}, None)
    data = {"images": str(folder / "images"), "captions": str(folder / "captions.txt")}
    data["splits"] = {"train": str(folder / "train.txt")}
    encoder = {"backbone": "vgg16", "layer": "pool"}
    settings = {"data": data, "features": str(folder / "features.pkl"), "encoder": encoder}
    (run / "config.yaml").write_text(dump_yaml({**settings, "model": {"architecture": "merge"}}))
    with (run / "history.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["epoch", "loss", "val_loss", "bleu_4", "cider_d", "seconds"])
        writer.writerows([1 + e, 4 - e / 2, 4 - e / 3, e / 20, e / 10, 3.5] for e in range(5))
    write_manifest(run, "train", best={"epoch": 4.0}, seconds=754.0, captions=digest_file(folder / "captions.txt"))
    return run


def look(index):
    """Return a picture's features: its colour, its shape, and a little of its own."""
    return np.eye(7)[[index % 4, 4 + index // 4 % 2]].sum(axis=0).astype(np.float32) + np.float32(0.001 * index)
