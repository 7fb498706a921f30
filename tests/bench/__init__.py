"""Measurements of time, run by hand with nothing else running: `python -m tests.bench.NAME`."""
