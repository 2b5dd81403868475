"""Every turn as segments that add up. In: time-stamped events of a conversation; out: turns with
contiguous segments, figures and events, on disk (``store``), over HTTP, for Prometheus and over
OpenTelemetry. It observes only: nothing here may change what a conversation does, and nothing here
knows the server."""
