"""What both ends of a channel are told of messages and of connections that hang."""

from __future__ import annotations

_MESSAGE_BYTES = 16 * 2**20
OPTIONS = [
    ("grpc.max_send_message_length", _MESSAGE_BYTES),
    ("grpc.max_receive_message_length", _MESSAGE_BYTES),
    # A server that has gone without a word (power, network) is noticed after 4 s.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 4_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # Every engine has a connection of its own: one that hangs holds up no other.
    ("grpc.use_local_subchannel_pool", 1),
]
