"""`python -m captioner.pretrained.make RUN`: make a finished run the built-in captioner, with its onnxruntime graph."""

from __future__ import annotations

from pathlib import Path

import click

from captioner.captioner import load
from captioner.config import ConfigError
from captioner.export.fast_graph import write_fast_graph
from captioner.export.onnx_file import require_onnx
from captioner.pretrained.box import BOX, make_box
from captioner.storage import DataError

FILE = click.Path(path_type=Path, dir_okay=False)


def make_graph(file: Path) -> Path:
    """Write the graph of a built-in captioner into the folder beside it; return the folder.

    Its weights are in float16, like those of the `.keras` file, so that it gives the same captions.

    Raises:
        ConfigError: the extra is not installed, or Keras does not run on TensorFlow.
        DataError: there is no captioner in `file`.
    """
    return write_fast_graph(file, load(file), "float16")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("run", required=False, type=click.Path(path_type=Path))
@click.argument("file", required=False, type=FILE)
@click.option(
    "--graph",
    type=FILE,
    is_flag=False,
    flag_value=str(BOX),
    help="Write only the graph, of the built-in captioner or FILE.",
)
def main(run: Path | None, file: Path | None, graph: Path | None) -> None:
    """Make RUN the built-in captioner, or write it to FILE, with its onnxruntime graph in `fast` beside it."""
    if (run is None) == (graph is None):
        raise click.UsageError("name a run, or give --graph to write only the graph of an existing file")
    try:
        require_onnx()
        made = graph or make_box(run or Path(), file or BOX)
        folder = make_graph(made)
    except (ConfigError, DataError) as error:
        raise click.ClickException(str(error)) from None
    for path in (made, *sorted(folder.iterdir())):
        click.echo(f"{path}: {path.stat().st_size / 1e6:.1f} MB", err=True)


if __name__ == "__main__":
    main()
