"""Weights that are too large to ship: where they are published, downloading them when somebody asks
for it, and whether they still are what they were. In: ``models/weights.toml`` and a hub; out: files
in the user's data folder. Nothing here is called by a conversation: nothing is downloaded behind
anybody's back."""
