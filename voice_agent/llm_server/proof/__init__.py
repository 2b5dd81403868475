"""What a voice needs of a language model server, asked of a running one. In: an address speaking
OpenAI's chat completions; out: findings. Knows no configuration and starts nothing."""
