"""captioner export."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from captioner.cli.backend import load_keras
from captioner.cli.generation import generation_options
from captioner.cli.options import NamedPath
from captioner.export.formats import FORMATS, PRECISIONS, ExportPrecision


@click.command("export")
@click.argument("runs", nargs=-1, required=True, type=NamedPath())
@click.option("--format", "name", type=click.Choice(list(FORMATS)), help="Format to write into the folder -o.")
@click.option("-o", "--output", type=NamedPath(file_okay=False), metavar="FOLDER", help="New folder.")
@click.option(
    "-n", "count", type=click.IntRange(min=1), default=1, show_default=True, help="Captions per picture, best first."
)
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    default="float32",
    show_default=True,
    help="How weights are stored. Fewer bits make a smaller file; computation stays float32.",
)
@click.option("--overwrite", is_flag=True, help="Replace an earlier export in the folder.")
@click.option("--data-licence", metavar="TEXT", help="Licence of the training data, for the model card.")
@click.option(
    "--web-runtime",
    type=NamedPath(file_okay=False),
    metavar="FOLDER",
    help="For --format web: the dist folder of onnxruntime-web (default: the one in ./node_modules).",
)
@generation_options
def command(
    runs: tuple[Path, ...],
    name: str | None,
    output: Path | None,
    count: int,
    precision: ExportPrecision,
    overwrite: bool,
    data_licence: str | None,
    web_runtime: Path | None,
    generation: dict[str, Any],
) -> None:
    """Write trained captioners for other runtimes.

    Without --format, the graph of a RUN is written into its folder: captioner predict then uses onnxruntime, which
    starts in a fraction of the time. Several RUNS are an ensemble, which only saved_model supports.

    \b
    Examples:
        captioner export runs/merge
        captioner export runs/merge --format onnx -o exported
    """
    from captioner.config import ConfigError
    from captioner.export.folder import require_free
    from captioner.export.formats import require_installed
    from captioner.run_folder import require_finished

    if (name is None) != (output is None):
        raise ConfigError("--format and -o: give both, the format and the folder to write it into")
    if name is None or output is None:
        if generation or count > 1:
            raise ConfigError(
                "export without --format: -n and the generation options do not apply; give them to captioner predict"
            )
        require_installed("onnx")
        for run in runs:
            require_finished(run)
        load_keras()
        from captioner.stages.export import write_run_graph

        for run in runs:
            click.echo(write_run_graph(run, precision))
        return
    require_installed(name)
    for run in runs:
        require_finished(run)
    require_free(output, overwrite)
    if name == "web":
        from captioner.export.web import require_runtime

        require_runtime(web_runtime)
    load_keras()
    from captioner.stages.export import export

    export(
        list(runs),
        name,
        output,
        n=count,
        precision=precision,
        overwrite=overwrite,
        data_licence=data_licence,
        web_runtime=web_runtime,
        **generation,
    )
    click.echo(output)
