"""What a pipeline's ``[trace]`` may say; ``docs/tracing.md`` explains it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from platformdirs import user_data_path
from pydantic import BaseModel, ConfigDict, Field


class TraceSettings(BaseModel):
    """``[trace]``: what is kept of every turn, where, and for how long."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = True
    """Keep turns and serve them at /traces. The figures at /metrics do not depend on it."""
    path: str = "traces.db"
    """SQLite file; relative to $VOICE_AGENT_DATA or the user's data folder. Several processes may
    share one."""
    keep_days: Annotated[float, Field(gt=0)] = 30.0
    """Turns older than this are deleted."""
    keep_mb: Annotated[float, Field(gt=0)] = 500.0
    """The oldest turns are deleted when the file grows beyond this, MiB."""
    transcripts: bool = False
    """Keep what both sides said."""
    audio: bool = False
    """Keep a recording of every turn: two channels, the user's and the agent's."""
    token: str = ""
    """What programs and people must show to read traces. Where words or recordings are kept and
    the server can be reached from other machines, one is made at the start if none is set."""
    otlp_endpoint: str = ""
    """An OpenTelemetry collector (``http://127.0.0.1:4318``) that every turn is sent to as well;
    needs the extra ``otel``."""

    @property
    def file(self) -> Path:
        """Where the turns are kept."""
        folder = os.environ.get("VOICE_AGENT_DATA")
        base = Path(folder) if folder else user_data_path("voice-agent", appauthor=False)
        return base / Path(self.path).expanduser()

    @property
    def records(self) -> bool:
        """Whether turns are recorded."""
        return self.enabled and self.audio

    @property
    def sensitive(self) -> bool:
        """Whether people's words or voices are kept."""
        return self.enabled and (self.transcripts or self.audio)
