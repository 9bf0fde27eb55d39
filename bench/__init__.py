"""The benchmark suite: `python -m bench`. README.md in this folder says how to run and read it."""
