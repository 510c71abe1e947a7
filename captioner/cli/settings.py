"""captioner settings."""

from __future__ import annotations

import click


@click.command("settings")
@click.argument("section", required=False)
@click.option("--markdown", is_flag=True, help="Print the list as Markdown.")
def command(section: str | None, markdown: bool) -> None:
    """List the settings of a recipe: their values, their defaults and what they mean.

    SECTION is a section such as train, an architecture such as transformer, or a single setting.

    \b
    Examples:
        captioner settings train
        captioner settings transformer
        captioner settings train.patience
    """
    from captioner.recipe import Recipe
    from captioner.settings import all_settings, as_markdown, as_text, chosen

    sections = chosen(all_settings(Recipe), section)
    click.echo(as_markdown(sections) if markdown else as_text(sections), nl=not markdown)
