"""How a language model server is to be run, as data with reasons. In: a model's name, a runtime and
its version, a GPU, how many callers; out: a command, an environment, files. Pure, but for
``found``, which looks at this machine. Sources of what is written are named beside it."""
