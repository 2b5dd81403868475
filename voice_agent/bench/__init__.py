"""Measures one engine alone, in this process, as a pipeline would use it. In: engines and what to
ask them; out: figures. Whole agents are measured from outside, by ``load``."""
