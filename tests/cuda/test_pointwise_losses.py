from twins import adopt

globals().update(adopt("test_pointwise_losses", {"shape": [(1, 1), (13, 1), (5, 7)]}))
