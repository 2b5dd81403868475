"""The addresses that carriers call: webhooks under ``/telephony``, and the media sockets.

``POST /telephony/<carrier>/answer`` answers a call with whatever makes the carrier open
``WS /telephony/<carrier>/media/<ticket>``; ``POST /telephony/<carrier>/events`` takes what becomes
of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from starlette.routing import BaseRoute, Route, WebSocketRoute

from voice_agent.shelf import Shelf
from voice_agent.transports.telephony.carriers import carriers_of
from voice_agent.transports.telephony.desk import Conversations, Desk
from voice_agent.transports.telephony.settings import TelephonySettings
from voice_agent.transports.telephony.sockets import MediaSockets
from voice_agent.transports.telephony.webhooks import Webhooks


def telephony_routes(
    settings: TelephonySettings,
    conversations: Conversations,
    environ: Mapping[str, str],
    *,
    insecure: bool = False,
    shelf: Shelf | None = None,
) -> Sequence[BaseRoute]:
    """Return the routes of one server's carriers; none without a carrier.

    Args:
        settings: ``[telephony]`` of the pipeline.
        conversations: Who takes the calls.
        environ: The environment, for the secrets.
        insecure: Believe everybody; for a server that nobody else can reach.
        shelf: Where tickets are kept; None: in this process.

    Raises:
        TelephonyError: A secret is missing.
    """
    carriers = carriers_of(settings, environ, secrets_optional=insecure)
    if not carriers:
        return ()
    desk = Desk(settings, conversations, carriers, insecure=insecure, shelf=shelf)
    webhooks, sockets = Webhooks(desk), MediaSockets(desk)
    both = ["GET", "POST"]
    return (
        Route("/telephony/{carrier}/answer", webhooks.answer, methods=both),
        Route("/telephony/{carrier}/events", webhooks.events, methods=both),
        Route("/telephony/{carrier}/transfer/{ticket}", webhooks.transfer, methods=both),
        WebSocketRoute("/telephony/{carrier}/media/{ticket}", sockets.media),
        WebSocketRoute("/telephony/{carrier}/media", sockets.direct),
        Route("/bridge/tickets", webhooks.bridge_ticket, methods=["POST"]),
        WebSocketRoute("/bridge", sockets.direct),
    )
