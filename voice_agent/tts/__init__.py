"""Text to speech: one file an engine, and the text that may be spoken (clauses, normalisation).
In: text frames; out: audio frames at the transport's rate with word times, cancelled by an
interruption. Nothing here knows whether the audio will be heard."""
