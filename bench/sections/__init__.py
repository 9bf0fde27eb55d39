"""What a run measures, section by section: each module's `measure(run)` returns what goes into the results."""
