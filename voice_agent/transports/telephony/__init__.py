"""Telephone calls over WebSocket: a carrier or a PBX on one side, a conversation on the other.

In: a carrier's webhooks and media sockets, checked before anything is believed. Out: the
conversation's ``Transport`` (16 kHz mono with its media time; the agent's voice at the line's own
rate), and requests to the carrier's REST API (hang up, transfer, dial). One file a carrier says all
that is peculiar to it; what is here and common knows ``Wire`` and ``Carrier`` only. Knows the
conversation's contract and nothing of engines or of the server.
"""
