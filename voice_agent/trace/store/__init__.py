"""Turns on disk. In: turns, sessions and recordings, off the audio path; out: lists, percentiles
and files of them, read by another process than the one that holds the calls."""
