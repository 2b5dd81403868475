"""OpenAI's Realtime API over a WebSocket: existing clients speak to our pipelines unmodified. In:
the API's client events, audio among them; out: its server events. ``protocol`` is the conversation
as the API tells it, without I/O; ``client`` carries its commands to the turn engine and the
engine's decisions back; ``line`` is the WebSocket. The event models are the ``openai`` package's
own, which take a second to import: nothing outside this room imports more of it than ``routes``,
``settings`` and ``access``."""
