"""``voice-agent dial``: a carrier calls somebody, and who answers talks to a running server."""

from __future__ import annotations

import argparse
import asyncio
import os

from voice_agent import logs
from voice_agent.commands import fail
from voice_agent.config import load_pipeline
from voice_agent.config_errors import ConfigError


def run(arguments: argparse.Namespace) -> int:
    """Ask the carrier; 0 when it has accepted the call, 2 when it has not."""
    from voice_agent.transports.telephony.carrier import TelephonyError
    from voice_agent.transports.telephony.carriers import carrier_of
    from voice_agent.transports.telephony.settings import NUMBER

    logs.configure(arguments.verbose)
    if not NUMBER.fullmatch(arguments.number):
        return fail(f"{arguments.number!r} is not a number, as in +15550100")
    try:
        settings = load_pipeline(arguments.pipeline, arguments.set, os.environ).telephony
        carrier = carrier_of(settings, arguments.carrier, os.environ)
        if not settings.public_url:
            return fail("telephony.public_url must say how the carrier reaches the server")
        base = f"{settings.public_url}/telephony/{carrier.name}"
        dialling = carrier.dial(
            arguments.number, f"{base}/answer", f"{base}/events", detect=arguments.detect
        )
        call = asyncio.run(dialling)
    except (ConfigError, TelephonyError) as error:
        return fail(error)
    print(f"{carrier.name} is calling; the call's id is {call.call_id}")
    return 0
