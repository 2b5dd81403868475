"""Our ASR server: streaming recognition for many live callers behind Riva gRPC, a process of its
own. In: audio of any client that speaks the protocol; out: partial and final transcripts. From
the outside in: ``service`` (the protocol) -> ``scheduler`` (who is computed next) -> ``stream``
(one caller: features, state, words) -> ``models`` (the networks). Imports nothing of Pipecat, so
that it can live in an environment with NeMo in it and nothing else."""
