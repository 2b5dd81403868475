"""A self-hosted voice agent: the user waits for nothing but the decision that they have finished.

Arrows go one way: ``transports`` -> ``conversation`` -> ``turns``, ``asr``, ``llm``, ``tts``;
``trace`` only observes; nothing imports ``server``. Times are milliseconds on the monotonic
clock, audio is 16-bit signed little-endian mono PCM unless a name says otherwise.
"""

__version__ = "0.1.0"
