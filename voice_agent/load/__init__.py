"""Headless callers that talk to a server as a user would, and what they measure. In: WAV files
and a server's URL; out: transcripts, audio and latencies as the client saw them. Never imports
the server's rooms: it knows the wire only."""
