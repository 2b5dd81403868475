"""Who speaks next. In: what was heard (voice, words, turn-model scores) and what was played; out:
decisions: speculate, release, drop, duck, stop, resume. The machine is pure (state, event,
now) -> (state, actions): no asyncio, no Pipecat, no wall clock; the thin adapters beside it do
the I/O."""
