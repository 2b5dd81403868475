"""Every turn as segments that add up. In: time-stamped events of a conversation; out: turns with
contiguous segments, figures and events. It observes only: nothing here may change what a
conversation does."""
