"""What each stage of a turn may cost, and what follows when it costs more. In: the ms a turn's
stages were waited for, and the time; out: a verdict that names the guilty stage, the rate at which
the objective is being missed, and from it whether answers begin shorter and new callers are
refused. Pure but for ``objective``, which keeps the turns of the last minutes; what to do about an
answer that is late right now is the turn machine's (``turns/late.py``)."""
