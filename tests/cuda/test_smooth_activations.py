from twins import adopt

globals().update(adopt("test_smooth_activations", {"size": [1, 31, 67]}))
