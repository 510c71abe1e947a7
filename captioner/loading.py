"""Load captioners by name: a run folder, a `.keras` file, a KerasHub model, or several as an ensemble."""

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

Named = Path | str  # a path; or a string with `hub:` and a preset, because a Path would change its slashes


def require_model(name: Named) -> None:
    """Refuse a captioner that does not exist, as far as this can be checked without Keras.

    Raises:
        DataError: with its name and what to do.
    """
    if is_hub(name):
        require_hub(name)
    else:
        captioner_file(Path(name))


def load_models(names: Sequence[Named], precision: str | None = None) -> Captioner | HubCaptioner:
    """Load a captioner, or an ensemble of several.

    Args:
        names: the captioners' names.
        precision: of a KerasHub model, see captioner.hub.loading.load_hub.

    Raises:
        ConfigError, DataError: as captioner.captioner.load, captioner.ensemble.Ensemble and load_hub do; or a KerasHub
            model is named together with others.
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
    """Return a digest that identifies a captioner."""
    if is_hub(name):
        return digest_hub(name)
    return digest_file(captioner_file(Path(name)))
