"""Which line an agent is called on: WebRTC, as browsers do, a telephone carrier's protocol, or the
realtime API."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib import import_module

from voice_agent.load.errors import CallError
from voice_agent.load.handsets.handset import Handset
from voice_agent.load.impairment import Network
from voice_agent.load.speaking import FLOOR_DBFS, Speaking

WEBRTC = "webrtc"
REALTIME = "realtime"
HANDSETS: Mapping[str, tuple[str, str, str]] = {
    REALTIME: ("realtime", "RealtimeHandset", "OPENAI_API_KEY"),
    "twilio": ("twilio", "TwilioHandset", "TWILIO_AUTH_TOKEN"),
    "telnyx": ("telnyx", "TelnyxHandset", ""),
    "plivo": ("plivo", "PlivoHandset", "PLIVO_AUTH_TOKEN"),
    "vonage": ("vonage", "VonageHandset", "VONAGE_SIGNATURE_SECRET"),
    "exotel": ("exotel", "ExotelHandset", "EXOTEL_KEY"),
    "genesys": ("genesys", "GenesysHandset", "GENESYS_CLIENT_SECRET"),
    "bridge": ("bridge", "BridgeHandset", "VOICE_AGENT_BRIDGE_TOKEN"),
    "asterisk": ("bridge", "AsteriskHandset", "VOICE_AGENT_BRIDGE_TOKEN"),
    "jambonz": ("bridge", "JambonzHandset", "VOICE_AGENT_BRIDGE_TOKEN"),
    "freeswitch": ("bridge", "FreeSwitchHandset", "VOICE_AGENT_BRIDGE_TOKEN"),
}
"""Module, class, and the environment variable of what a request is signed with; Telnyx signs with
a private key that only Telnyx has, so its calls are for servers that believe everybody."""
TRANSPORTS = (WEBRTC, *HANDSETS)


def dialled(
    transport: str,
    url: str,
    *,
    floor_dbfs: float = FLOOR_DBFS,
    timeout_s: float = 20.0,
    network: Network | None = None,
    instrument: bool = True,
) -> Speaking:
    """Return a caller of the agent at ``url``, not yet calling.

    Args:
        transport: One of ``TRANSPORTS``.
        url: The agent's address.
        floor_dbfs: RMS of the noise that is always on the line.
        timeout_s: How long connecting and every wait may take unless told otherwise.
        network: What lies between; not for WebRTC.
        instrument: See :class:`voice_agent.load.phone.Phone`; the realtime API tells by itself.

    Raises:
        CallError: There is no such line, or it cannot have such a network.
    """
    if transport == WEBRTC:
        if network is not None:
            raise CallError("a network can be impaired for telephone lines only")
        from voice_agent.load.caller import Caller

        return Caller(url, floor_dbfs=floor_dbfs, timeout_s=timeout_s)
    if transport not in HANDSETS:
        raise CallError(f"no line is called {transport!r}; there are: {', '.join(TRANSPORTS)}")
    from voice_agent.load.phone import Phone

    module, name, variable = HANDSETS[transport]
    made: type[Handset] = getattr(import_module(f"voice_agent.load.handsets.{module}"), name)
    handset = made(os.environ.get(variable, "") if variable else "")
    return Phone(
        url,
        handset,
        floor_dbfs=floor_dbfs,
        timeout_s=timeout_s,
        instrument=instrument and transport != REALTIME,
        network=network,
    )


def serving(transports: Sequence[str]) -> list[str]:
    """Return what a server of one's own must be told to be called on these lines."""
    carriers = {HANDSETS[each][0] for each in transports if each in HANDSETS} - {REALTIME}
    told = [f"--set=telephony.{carrier}={{}}" for carrier in sorted(carriers)]
    return [*told, "--insecure-dev"] if told else []
