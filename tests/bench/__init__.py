"""The commands that fill `docs/`, run by hand: `python -m tests.bench.NAME`; times with nothing else running."""
