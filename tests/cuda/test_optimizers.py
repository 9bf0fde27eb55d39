from twins import adopt

globals().update(adopt("test_optimizers", {"size": [1, 37]}))
