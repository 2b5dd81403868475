"""``voice-agent tts-server``: speech synthesis as a process of its own, spoken to in Riva gRPC. In:
NVIDIA's messages; out: audio as it is made, with word times. ``service`` is the protocol, the
others are backends: what makes the sound. Knows no conversation, and no client of ours."""
