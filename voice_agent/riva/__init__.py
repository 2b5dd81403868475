"""Riva gRPC, the protocol all our speech engines and servers speak: NVIDIA's NIM and Riva,
NeMo-Speech.cpp's ``riva_server`` and our own servers. ``channel`` is the client's end: where a
server is and whether it can work; ``server`` the other: health, warm-up, bounded admission,
metrics, a polite end. In and out: NVIDIA's own messages, from the ``nvidia-riva-client`` package
(extra ``riva``). Knows no engine and no model; ``server`` imports nothing of Pipecat."""

import os

# gRPC reads it when it is loaded. Nobody forks here; processes are started by exec, and gRPC would
# complain of each.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
