"""captioner doctor."""

from __future__ import annotations

import json

import click

MARKS = {True: "ok", False: "--", None: "  "}


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(as_json: bool) -> None:
    """Show what captioner finds on this machine, what is missing, and the command that installs it.

    \b
    Examples:
        captioner doctor
        captioner doctor --json
    """
    from captioner.doctor import examine

    findings = examine()
    if as_json:
        content = {one.name: {"value": one.value, "ok": one.ok, "hint": one.hint} for one in findings}
        click.echo(json.dumps(content, ensure_ascii=False, indent=1))
        return
    width = max(len(one.name) for one in findings)
    for one in findings:
        hint = f" ({one.hint})" if one.hint else ""
        click.echo(f"{MARKS[one.ok]} {one.name:{width}}  {one.value}{hint}")
