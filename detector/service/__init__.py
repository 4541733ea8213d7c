"""What runs: the loop, state saved and restored, the rules topic followed, settings, metrics."""
