"""Captioners by their names: a run folder, a `.keras` file, a model of KerasHub, several together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from captioner.hub.names import digest_hub, is_hub, require_hub
from captioner.run_folder import captioner_file
from captioner.storage import DataError, digest_file

if TYPE_CHECKING:
    from captioner.captioner import Captioner
    from captioner.hub.hub_captioner import HubCaptioner

Named = Path | str  # a path; or `hub:` and a preset, whose slashes a path would change


def require_model(name: Named) -> None:
    """Refuse a captioner that is not there, as far as that can be told without Keras.

    Raises:
        DataError: naming it, and what to do.
    """
    if is_hub(name):
        require_hub(name)
    else:
        captioner_file(Path(name))


def load_models(names: Sequence[Named], precision: str | None = None) -> Captioner | HubCaptioner:
    """Load a captioner, or an ensemble of several.

    Args:
        names: what they are called.
        precision: of a model of KerasHub, see captioner.hub.loading.load_hub.

    Raises:
        ConfigError, DataError: as captioner.captioner.load, captioner.ensemble.Ensemble and load_hub do; or a model of
            KerasHub is named with others.
    """
    hub = [name for name in names if is_hub(name)]
    if hub and len(names) > 1:
        raise DataError(f"{hub[0]}: a KerasHub model cannot be part of an ensemble; name it without other models")
    if hub:
        from captioner.hub.loading import load_hub

        return load_hub(hub[0], precision)
    from captioner.captioner import load
    from captioner.ensemble import Ensemble

    members = [load(name) for name in names]
    return members[0] if len(members) == 1 else Ensemble(members, names)


def digest_model(name: Named) -> str:
    """Return a digest that tells a captioner from others."""
    if is_hub(name):
        return digest_hub(name)
    return digest_file(captioner_file(Path(name)))
