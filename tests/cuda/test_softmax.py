from twins import adopt

SHAPES = [(1, 1), (3, 2), (5, 9), (7, 13), (2, 33)]  # a thread a row, some, all of a block with several turns
globals().update(adopt("test_softmax", {"shape": SHAPES}))
