"""Many callers at once: how many conversations a server holds, and what breaks first. In: a
scenario, a profile and a server's URL; out: one record a call, what the server said of itself
meanwhile, a verdict by an SLO and a report. Callers run in processes of their own, so that the
instrument is not what it measures; decisions (profile, SLO, search, comparison) are pure."""
