"""captioner encoders."""

from __future__ import annotations

import logging

import click

from captioner.cli.backend import load_keras

logger = logging.getLogger(__name__)


@click.command("encoders")
@click.argument("name", required=False)
def command(name: str | None) -> None:
    """List the encoders: input size, parameters, and the shape of their features.

    With NAME, list the layers of that encoder for extract's --layer.

    \b
    Examples:
        captioner encoders
        captioner encoders vgg16
    """
    if name is None:
        _list_encoders()
    else:
        _list_layers(name)


def _list_encoders() -> None:
    from captioner.encoders.table import BACKBONES, HUB_PRESETS, weights_at_hand
    from captioner.hub_presets import HUB

    rows = [
        (name, row.input_size, row.parameters, row.grid[-1], row.grid, weights_at_hand(name))
        for name, row in BACKBONES.items()
    ]
    presets = {f"{HUB}{name}": row for name, row in HUB_PRESETS.items()}
    rows += [
        (name, row.input_size, row.parameters, row.pool, row.grid, weights_at_hand(name))
        for name, row in presets.items()
    ]
    width = max(len(name) for name, *_ in rows)
    click.echo(f"{'encoder':{width}}  {'input':9}  {'parameters':>11}  {'pool':>4}  {'grid':14}  weights")
    for name, size, parameters, pool, grid, weights in rows:
        click.echo(f"{name:{width}}  {_product(size):9}  {parameters:11,}  {pool:4}  {_product(grid):14}  {weights}")
    logger.info(
        "`captioner encoders NAME` lists an encoder's layers; hub: accepts any CLIP, SigLIP, DINO or ViT preset of "
        "KerasHub"
    )


def _list_layers(name: str) -> None:
    from captioner.encoders.layers import known_layers
    from captioner.encoders.table import canonical_name

    layers = known_layers(name) or _layers_of_the_network(canonical_name(name))
    width = max(map(len, layers))
    for layer, shape in layers.items():
        click.echo(f"{layer:{width}}  {_product(shape)}")
    logger.info("`pool` is the pooled vector and `grid` is the last grid, for every encoder")


def _layers_of_the_network(name: str) -> dict[str, tuple[int, ...]]:
    load_keras()
    from captioner.hub_presets import HUB

    if name.startswith(HUB):
        from captioner.encoders.hub import hub_layers

        return hub_layers(name.removeprefix(HUB))
    from captioner.encoders.applications import inner_layers

    return inner_layers(name)


def _product(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
