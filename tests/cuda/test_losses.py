from twins import adopt

SHAPES = [(1, 1), (1, 10), (3, 2), (7, 13)]  # a thread a row, some, and all of a block
WITHOUT = ["test_the_gradient_of_float32_does_not_lose_digits_to_the_size_of_the_logits"]
globals().update(adopt("test_losses", {"shape": SHAPES, "size": [1, 31, 67]}, WITHOUT))
