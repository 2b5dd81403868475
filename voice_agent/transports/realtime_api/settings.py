"""What a pipeline's ``[realtime]`` table may say."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class RealtimeSettings(BaseModel):
    """``[realtime]``: OpenAI's Realtime API at ``/v1/realtime``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = True
    key_env: str = ""
    """Name of the environment variable that holds the key, or several separated by spaces or
    commas. Without one, only a server on a loopback address lets clients in."""
    lead_ms: float = Field(default=80.0, ge=20, le=1000)
    """How far ahead of time the agent's voice is sent, ms: what hides the network's jitter. A
    ducked voice is heard so much later."""
    voices: dict[str, str] = Field(default_factory=dict)
    """The API's voice names ("marin", or names of your own) and the engine's voice for each. The
    API's other names are all the pipeline's own voice."""
    events_per_s: float = Field(default=200.0, gt=0)
    """Client events a second in the long run; a client that sends more is closed."""
    session_s: float = Field(default=3600.0, gt=0)
    """Longest session, s; the API's own is an hour."""
