"""Speech to text: one file an engine. In: 16 kHz mono PCM as it arrives and requests to finalize;
out: Pipecat's interim and final transcription frames. Recognition never runs on the event
loop, and nothing here decides when a turn ends."""
