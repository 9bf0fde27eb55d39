from twins import adopt

SHAPES = [(1, 1), (1, 10), (7, 13)]  # a thread a row, and all of a block
globals().update(adopt("test_label_losses", {"shape": SHAPES}))
