"""captioner doubt."""

from __future__ import annotations

import logging
from pathlib import Path

import click

from captioner.cli.backend import load_keras
from captioner.cli.options import NamedPath

logger = logging.getLogger(__name__)

TABLE, PAGE, KEPT = "doubts.csv", "doubts.html", "captions.txt"


@click.command("doubt")
@click.argument("captions", type=NamedPath())
@click.argument("images", type=NamedPath(file_okay=False))
@click.option("-o", "--output", type=NamedPath(file_okay=False), metavar="FOLDER", default="doubts",
              show_default=True, help="Folder for the results.")  # fmt: skip
@click.option("--model", type=NamedPath(), help="Run folder or .keras file (default: the built-in captioner).")
@click.option(
    "-n", "count", type=click.IntRange(min=1), default=20, show_default=True, help="Number of captions to print."
)
@click.option(
    "--shown", type=click.IntRange(min=1), default=200, show_default=True, help="Number of captions on the page."
)
@click.option(
    "--throw-out", type=click.IntRange(min=0), metavar="N", help="Write captions.txt without the N worst captions."
)
@click.option(
    "--features",
    type=NamedPath(),
    metavar="FILE",
    help="Features of the pictures (default: encoded now and stored in --index).",
)
@click.option(
    "--index",
    type=NamedPath(file_okay=False),
    metavar="FOLDER",
    help="Folder for the encoded features (default: NAME.captioner-index beside IMAGES).",
)
def command(
    captions: Path,
    images: Path,
    output: Path,
    model: Path | None,
    count: int,
    shown: int,
    throw_out: int | None,
    features: Path | None,
    index: Path | None,
) -> None:
    """List the captions of the file CAPTIONS that probably do not match their picture in the folder IMAGES.

    Prints `score<TAB>image_id<TAB>caption`, worst first. Writes doubts.csv, with all captions, and doubts.html into the
    output folder. On that page, captions can be kept, corrected or thrown out, and saved as a caption file.

    \b
    Examples:
        captioner doubt captions.csv photos
        captioner doubt captions.csv photos -o doubts --shown 50
    """
    from captioner.config import ConfigError
    from captioner.data.dataset import read_captions
    from captioner.images.listing import find_pictures
    from captioner.images.walk import require_folder

    if features is not None and index is not None:
        raise ConfigError("--features and --index: both name the features; give one of them")
    _require_outputs(output, throw_out is not None, [captions, *([] if features is None else [features])])
    texts = read_captions(captions)
    require_folder(images)
    load_keras()
    from captioner.captioner import load
    from captioner.features.store import open_features
    from captioner.pretrained.box import default_model
    from captioner.report.gallery import write_doubts
    from captioner.run_folder import captioner_file
    from captioner.stages.doubt import doubt, without, write_captions, write_table
    from captioner.stages.evaluate import require_same_encoder
    from captioner.stages.indexing import open_index
    from captioner.storage import digest_file

    model = default_model() if model is None else model
    captioner = load(model)
    if features is not None:
        store, pictures = open_features(features), find_pictures(images)
        require_same_encoder(captioner, store)
    else:
        made = open_index(captioner, digest_file(captioner_file(model)), images, index)
        store, pictures = made.features, made.pictures
    found = doubt(captioner, texts, store)
    missing = sum(image_id not in store for image_id in texts)
    if missing:
        logger.warning(f"{missing:,} of the {len(texts):,} captioned pictures are not in {images} and are left out")
    if found.unweighed:
        logger.warning(f"{found.unweighed:,} captions contain no word that the model knows and get no score")
    logger.info(
        f"a picture's own caption scores higher than another picture's caption in {found.area:.1%} of the cases (area "
        "under the ROC curve)"
    )
    write_table(found, output / TABLE)
    worst = found.captions[:shown]
    paths = {}
    for image_id in dict.fromkeys(each.image_id for each in worst):
        (at,) = pictures.ids.find([image_id])
        if at >= 0:
            paths[image_id] = pictures.path(int(at))
    write_doubts(worst, texts, paths, output / PAGE, f"{captions.stem}.checked.txt")
    if throw_out is not None:
        write_captions(without(texts, found.captions[:throw_out]), output / KEPT)
    for each in found.captions[:count]:
        click.echo(f"{each.score:.2f}\t{each.image_id}\t{' '.join(each.caption.split())}")
    wrote = [TABLE, PAGE, *([KEPT] if throw_out is not None else [])]
    logger.info(f"{output}: {', '.join(wrote)}")


def _require_outputs(output: Path, kept: bool, inputs: list[Path]) -> None:
    """Refuse, before any work, to overwrite an input or a file that this command did not write."""
    from captioner.output_places import require_not_read, require_own, require_page
    from captioner.stages.doubt import STAGE, require_table

    require_not_read([output / name for name in (TABLE, PAGE, *([KEPT] if kept else []))], inputs)
    require_table(output / TABLE)
    require_page(output / PAGE)
    if kept:
        require_own(output / KEPT, STAGE)
