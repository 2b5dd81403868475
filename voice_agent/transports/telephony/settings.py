"""What ``[telephony]`` of a pipeline may say. A carrier is served if it has a table of its own.

Secrets are never in the file: its keys name the environment variables that hold them.
"""

from __future__ import annotations

import re
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

NUMBER = re.compile(r"\+[1-9]\d{6,14}")
"""A telephone number as E.164 has it."""


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


class TelnyxSettings(_Section):
    """``[telephony.telnyx]``."""

    public_key_env: str = "TELNYX_PUBLIC_KEY"
    """What webhooks are signed with; the portal shows it."""
    api_key_env: str = "TELNYX_API_KEY"
    codec: Literal["PCMU", "PCMA"] = "PCMU"
    application_id: str = ""
    """The TeXML application that makes calls."""
    from_number: str = ""
    api_url: str = "https://api.telnyx.com"


class PlivoSettings(_Section):
    """``[telephony.plivo]``."""

    auth_id_env: str = "PLIVO_AUTH_ID"
    auth_token_env: str = "PLIVO_AUTH_TOKEN"
    from_number: str = ""
    api_url: str = "https://api.plivo.com"


class VonageSettings(_Section):
    """``[telephony.vonage]``."""

    signature_secret_env: str = "VONAGE_SIGNATURE_SECRET"
    """What webhooks are signed with."""
    application_id_env: str = "VONAGE_APPLICATION_ID"
    private_key_env: str = "VONAGE_PRIVATE_KEY"
    """The application's private key in PEM, or the path of its file."""
    hz: Literal[8000, 16000] = 16_000
    """Sample rate of the media socket."""
    from_number: str = ""
    api_url: str = "https://api.nexmo.com"


class ExotelSettings(_Section):
    """``[telephony.exotel]``."""

    key_env: str = "EXOTEL_KEY"
    """A secret of your own that the applet's address holds: Exotel signs nothing."""
    account_sid_env: str = "EXOTEL_ACCOUNT_SID"
    api_key_env: str = "EXOTEL_API_KEY"
    api_token_env: str = "EXOTEL_API_TOKEN"
    from_number: str = ""
    api_url: str = "https://api.exotel.com"


class GenesysSettings(_Section):
    """``[telephony.genesys]``."""

    api_key_env: str = "GENESYS_API_KEY"
    client_secret_env: str = "GENESYS_CLIENT_SECRET"
    """In base64, as the integration's credentials have it."""


class BridgeSettings(_Section):
    """``[telephony.bridge]``."""

    token_env: str = "VOICE_AGENT_BRIDGE_TOKEN"
    """A secret of your own that PBXs show."""


class CallToolsSettings(_Section):
    """``[telephony.tools]``: what the agent may do with the call it is in. Nothing by default."""

    hang_up: bool = False
    """It may end the call when the caller has said goodbye."""
    press_keys: bool = False
    """It may press keys, for calls that a menu answers."""
    transfer_to: dict[str, str] = Field(default_factory=dict)
    """Whom it may hand the call over to: a name that the language model reads, and the number. No
    other number can be reached, whatever a caller talks it into."""

    @field_validator("transfer_to")
    @classmethod
    def _numbers(cls, value: dict[str, str]) -> dict[str, str]:
        for name, to in value.items():
            if not name.strip() or not NUMBER.fullmatch(to):
                raise ValueError(f"{name!r}: {to!r} is not a number, as in '+15550100'")
        return value


class TelephonySettings(_Section):
    """``[telephony]``."""

    public_url: str = Field(default="", pattern=r"^(https?://[^/?#]+)?$")
    """How carriers reach this server, as in ``https://voice.example``; it is what they sign.
    Empty: whatever name they call it by."""
    on_machine: Literal["hang-up", "talk"] = "hang-up"
    """What an outbound call does when the carrier says that a machine has answered."""
    tools: CallToolsSettings = CallToolsSettings()
    twilio: TwilioSettings | None = None
    telnyx: TelnyxSettings | None = None
    plivo: PlivoSettings | None = None
    vonage: VonageSettings | None = None
    exotel: ExotelSettings | None = None
    genesys: GenesysSettings | None = None
    bridge: BridgeSettings | None = None
