"""Several processes on one port. In: accepted connections, from a dispatcher that gives each to the
worker with the fewest calls; out: to each worker's app, whole. A call stays with the process that
answered it; what comes for it over another connection is passed on to that process, and what asks
of the server as a whole (health, metrics) is asked of all. Nothing else crosses: turns meet in the
trace store's file. The dispatcher touches no byte of a call."""
