"""The commands that fill `docs/`, by hand: `python -m tests.bench.NAME`; times with nothing else running."""
