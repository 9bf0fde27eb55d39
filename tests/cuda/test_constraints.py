from twins import adopt

globals().update(adopt("test_constraints", {"size": [1, 3, 67], "shape": [(1, 1), (3, 5), (7, 9)]}))
