from twins import adopt

globals().update(adopt("test_reductions", {"size": [1, 3, 127, 300]}, ["test_gather_converts_and_scales_the_rows_asked_for"]))
