from twins import adopt

WITHOUT = ["test_every_rule_runs_in_vectors_with_fused_multiply_add", "test_nan_stays_where_it_is"]  # of the CPU's alone
globals().update(adopt("test_optimizers", {"size": [1, 37]}, WITHOUT))
