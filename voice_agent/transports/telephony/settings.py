"""What ``[telephony]`` of a pipeline may say. A carrier is served if it has a table of its own.

Secrets are never in the file: its keys name the environment variables that hold them.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TwilioSettings(_Section):
    """``[telephony.twilio]``."""

    account_sid_env: str = "TWILIO_ACCOUNT_SID"
    auth_token_env: str = "TWILIO_AUTH_TOKEN"
    from_number: str = ""
    """Number that outbound calls come from, as in +15550100."""
    api_url: str = "https://api.twilio.com"
    """Another region's: ``https://api.dublin.ie1.twilio.com``."""


class TelephonySettings(_Section):
    """``[telephony]``."""

    public_url: str = Field(default="", pattern=r"^(https?://[^/?#]+)?$")
    """How carriers reach this server, as in ``https://voice.example``; it is what they sign.
    Empty: whatever name they call it by."""
    on_machine: Literal["hang-up", "talk"] = "hang-up"
    """What an outbound call does when the carrier says that a machine has answered."""
    twilio: TwilioSettings | None = None
