"""Kernels for the CPU: one operation a file, forward beside backward."""
