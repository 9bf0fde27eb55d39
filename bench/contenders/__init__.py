"""The same work, once for each library; each module is imported in a process of its own (see `bench.worker`)."""
