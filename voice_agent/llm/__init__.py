"""Language models: one file, or one prefix, an engine. In: Pipecat's context frames with messages
and tools; out: text frames and function calls, streamed; cancelled by an interruption. Nothing
here knows whether an answer will be heard."""
