"""captioner download."""

from __future__ import annotations

from pathlib import Path

import click

from captioner.cli.options import output_folder


@click.command("download")
@click.argument("name", required=False)
@output_folder("Folder for the files (default: data/ and the data set's name)")
@click.option("--mirror", metavar="WHERE", help="Address or folder that contains the archives under their own names.")
@click.option("--only", multiple=True, metavar="ARCHIVE", help="Download only this archive. Can be repeated.")
@click.option("--keep", is_flag=True, help="Keep the archives after unpacking them.")
def command(name: str | None, output: Path | None, mirror: str | None, only: tuple[str, ...], keep: bool) -> None:
    """Download and unpack the public data set NAME. Without NAME, list the available data sets.

    Run the same command again to continue an interrupted download. Archives are checked before they are unpacked.

    \b
    Examples:
        captioner download
        captioner download flickr8k -o data
    """
    from captioner.data.download.catalog import DATA_SETS, download, total_size

    if name is None:
        margin = max(map(len, DATA_SETS))
        for known, data_set in DATA_SETS.items():
            click.echo(f"{known:<{margin}}  {total_size(data_set):>8}  {data_set.about}")
            click.echo(f"{'':<{margin}}            {', '.join(archive.name for archive in data_set.archives)}")
        return
    download(name, output or Path("data") / name, mirror=mirror, only=only, keep=keep)
