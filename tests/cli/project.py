"""A data set so small that every command is done with it in seconds."""

from pathlib import Path

from PIL import Image, ImageDraw

COLOURS, SHAPES = ("red", "green", "blue", "grey"), ("ball", "box")
PICTURES = 16

RECIPE = """\
data:
  images: images
  captions: captions.txt
  splits: {train: train.txt, dev: dev.txt}
features: features.pkl
encoder: {backbone: efficientnet_lite0, weights: random}
model: {architecture: merge, units: 16, embedding_size: 8}
train: {epochs: 1, batch_size: 4}
generation: {beam_size: 2, max_length: 6}
"""


def make_project(folder: Path) -> None:
    """Draw pictures and write captions, splits and captioner.yaml."""
    (folder / "images").mkdir()
    lines = []
    for index in range(PICTURES):
        colour, shape = COLOURS[index % 4], SHAPES[index // 4 % 2]
        picture = Image.new("RGB", (32, 24), "white")
        draw = ImageDraw.Draw(picture)
        (draw.ellipse if shape == "ball" else draw.rectangle)((8, 4, 24, 20), fill=colour)
        picture.save(folder / "images" / f"p{index:02}.png")
        lines += [
            f"p{index:02}.png#0\tA {colour} {shape} .\n",
            f"p{index:02}.png#1\tThere is a {colour} {shape} .\n",
        ]
    (folder / "captions.txt").write_text("".join(lines))
    (folder / "train.txt").write_text("".join(f"p{index:02}.png\n" for index in range(12)))
    (folder / "dev.txt").write_text("".join(f"p{index:02}.png\n" for index in range(12, PICTURES)))
    (folder / "captioner.yaml").write_text(RECIPE)
