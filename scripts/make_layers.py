"""Write captioner/encoders/layers.json.gz: the layers of every encoder of the table. Run it after a release of Keras.

It builds each network once, without weights, which takes some minutes.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import keras

from captioner.encoders.applications import inner_layers
from captioner.encoders.layers import FILE, keras_release
from captioner.encoders.table import BACKBONES

PATH = Path(__file__).parents[1] / "captioner" / "encoders" / FILE


def main() -> None:
    layers = {}
    for name in BACKBONES:
        layers[name] = inner_layers(name)
        keras.backend.clear_session()
        print(f"{name}: {len(layers[name])} layers", flush=True)
    table = json.dumps({"keras": keras_release(), "layers": layers}, separators=(",", ":"))
    PATH.write_bytes(gzip.compress(table.encode(), mtime=0))


if __name__ == "__main__":
    main()
