"""How audio and messages reach a conversation: WebRTC, the local microphone, telephony, the
realtime API. In: packets; out: 16 kHz mono PCM with its media time to the conversation, and its
playout back to the wire. Knows the conversation's contract and nothing of engines."""
