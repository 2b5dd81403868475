"""The process of a language model server: started, watched until it is ready, and ended. In: a
plan; out: an address that answers, or an error that says what to do. Knows no checks."""
