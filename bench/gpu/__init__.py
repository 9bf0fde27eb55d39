"""Measurements on a GPU; `bench/gpu.sh` runs them."""
