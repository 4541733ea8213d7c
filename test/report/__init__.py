"""The report: what came out over a window of time, and whether it is as expected."""
