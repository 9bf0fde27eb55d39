from twins import adopt

SHAPES = [(1, 1, 1), (2, 3, 5), (5, 1, 7), (9, 6, 4)]
WITHOUT = [
    "test_the_bits_do_not_depend_on_how_many_share_the_work",  # there is no scratch whose rows could be counted
    "test_every_size_is_right",
    "test_forward_applies_the_activation_last",  # at a size for the CPU: below at a smaller one
    "test_a_row_has_the_same_bits_wherever_it_stands",  # cuBLAS may take other paths for other shapes
]
globals().update(adopt("test_linear", {"shape": SHAPES}, WITHOUT))
