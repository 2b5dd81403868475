"""Servers that an engine needs and starts itself: found, started, waited for until they can work,
started again when they die, and ended with the agent, however that ends. In: a command line and a
question whether the server is well; out: nothing but its life. Knows no engine and no protocol."""
