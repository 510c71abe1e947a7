"""Write the web folder: the server's page with the exported graph as its backend, run by onnxruntime-web."""

from __future__ import annotations

import shutil
from pathlib import Path

from captioner.config import ConfigError
from captioner.storage import DataError, read_text, write_text

PAGE = Path(__file__).parents[1] / "serving" / "static"
BACKEND = Path(__file__).parent / "page" / "backend.js"
RUNTIME = ("ort.wasm.min.js", "ort-wasm-simd-threaded.wasm", "ort-wasm-simd-threaded.mjs")
PLACE = Path("node_modules", "onnxruntime-web", "dist")
_SERVERS_BACKEND = '<script src="static/backend.js" defer></script>'
_OWN_BACKEND = '<script src="runtime/ort.wasm.min.js" defer></script>\n<script src="static/backend.js" defer></script>'


def require_runtime(folder: Path | None) -> Path:
    """Return the folder of onnxruntime-web's files; by default the one in ./node_modules.

    Raises:
        ConfigError: a file is missing; the message says how to install it.
    """
    place = folder or PLACE
    missing = [name for name in RUNTIME if not (place / name).is_file()]
    if missing:
        raise ConfigError(
            f"{place}: has no {missing[0]}; run `npm install onnxruntime-web`, or name its dist folder with "
            "--web-runtime"
        )
    return place


def write_page(folder: Path, runtime: Path) -> None:
    """Write the page, its backend and the runtime into a folder beside the graph.

    Raises:
        DataError: the page does not load its backend as expected, or a file cannot be read.
    """
    page = read_text(PAGE / "index.html")
    if _SERVERS_BACKEND not in page:
        raise DataError(f"{PAGE / 'index.html'}: does not load static/backend.js; install captioner again")
    write_text(folder / "index.html", page.replace(_SERVERS_BACKEND, _OWN_BACKEND))
    for name in ("page.js", "style.css"):
        write_text(folder / "static" / name, read_text(PAGE / name))
    write_text(folder / "static" / "backend.js", read_text(BACKEND))
    (folder / "runtime").mkdir(exist_ok=True)
    for name in RUNTIME:
        shutil.copyfile(runtime / name, folder / "runtime" / name)
