"""Compiled loops on plain arrays, and nothing else. `cpu` holds one operation a file; see CONTRIBUTING.md for the contract."""
