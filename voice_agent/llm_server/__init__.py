"""Servers of language models: configured, started, watched, and proven. In: which model, on which
runtime and GPU, or the address of a server that runs already; out: a configuration with its
reasons, a server that is ready, findings about it. ``config`` decides and is pure, ``running``
keeps the process, ``proof`` asks the server. Conversations know nothing of it: they speak to an
address, as to anybody's server."""
