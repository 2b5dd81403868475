"""Which carriers there are; a file each, imported only where the pipeline names them."""

from __future__ import annotations

from collections.abc import Mapping

from voice_agent.transports.telephony.carrier import Carrier, Secrets, TelephonyError
from voice_agent.transports.telephony.settings import TelephonySettings

NAMES = ("twilio", "telnyx", "plivo", "vonage", "exotel", "genesys", "bridge")


def carriers_of(
    settings: TelephonySettings, environ: Mapping[str, str], *, secrets_optional: bool = False
) -> dict[str, Carrier]:
    """Return the carriers that have a table in ``[telephony]``, by name.

    Raises:
        TelephonyError: A secret is missing.
    """
    made: dict[str, Carrier] = {}
    for name in NAMES:
        section = getattr(settings, name)
        if section is not None:
            secrets = Secrets(name, environ, optional=secrets_optional)
            made[name] = _make(name, section, secrets)
    return made


def carrier_of(settings: TelephonySettings, name: str, environ: Mapping[str, str]) -> Carrier:
    """Return the carrier called ``name``.

    Raises:
        TelephonyError: There is none, it has no table, or a secret is missing.
    """
    if name not in NAMES:
        raise TelephonyError(f"no carrier is called {name!r}; there are: {', '.join(NAMES)}")
    made = carriers_of(settings, environ)
    if name not in made:
        raise TelephonyError(f"the pipeline has no [telephony.{name}]; add the table")
    return made[name]


def _make(name: str, section: object, secrets: Secrets) -> Carrier:
    from importlib import import_module

    module = import_module(f"voice_agent.transports.telephony.{name}")
    carrier: Carrier = getattr(module, name.capitalize())(section, secrets)
    return carrier
