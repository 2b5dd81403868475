"""Who the agent is: the persona file and the tools it may call, with their store. In: a TOML file
and tool arguments; out: an ``Agent`` with its prompt, greeting, vocabulary and ``Tool``s.
Knows nothing of audio, turns or transports."""
