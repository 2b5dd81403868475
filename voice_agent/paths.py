"""Where the data we ship lives: beside the package in a checkout, inside it in a wheel."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_data_path

_PACKAGE = Path(__file__).resolve().parent


def _shipped(in_wheel: str, in_checkout: str) -> Path:
    inside = _PACKAGE / in_wheel
    return inside if inside.is_dir() else _PACKAGE.parent / in_checkout


def pipelines_dir() -> Path:
    """Return the folder of the shipped pipelines (``*.toml``) and their agents."""
    return _shipped("pipelines", "pipelines")


def models_dir() -> Path:
    """Return the folder with one folder per model."""
    return _shipped("models", "models")


def weights_dir() -> Path:
    """Return the folder that `voice-agent models pull` fills, one folder per model; may not exist:
    ``models`` in $VOICE_AGENT_DATA or the user's data folder."""
    folder = os.environ.get("VOICE_AGENT_DATA")
    base = Path(folder) if folder else user_data_path("voice-agent", appauthor=False)
    return base / "models"


def scenarios_dir() -> Path:
    """Return the folder of the shipped scenarios for load tests (``*.toml``)."""
    return _shipped("scenarios", "scenarios")


def web_dir() -> Path:
    """Return the folder of the built page, ``index.html`` at its root."""
    return _shipped("web", "web/dist")


def shown(path: Path) -> str:
    """Return ``path`` as a person would type it: relative when it lies under the current folder."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
