from twins import adopt

WITHOUT = ["test_every_rule_runs_in_vectors_with_fused_multiply_add"]  # the CPU's
globals().update(adopt("test_optimizers", {"size": [1, 37]}, WITHOUT))
