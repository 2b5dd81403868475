"""Processes of our own in which engines compute, so that nothing they do holds up or takes down
the server. In: messages over a pipe; out: messages over another. ``process`` is the server's end,
``inside`` the worker's, ``wire`` what travels between them. Knows no engine."""
