from twins import adopt

WITHOUT = [
    "test_philox_gives_the_published_answers",  # calls the CPU's function
    "test_every_seed_step_and_stream",
    # of a million bits, and the same as the CPU's
    "test_the_share_of_dropped_elements_is_p",
    "test_runs_of_dropped_elements_are_as_long_as_chance_makes_them",
    "test_elements_are_not_correlated_with_their_neighbours",
    "test_masks_differ_from_step_to_step_seed_to_seed_and_stream_to_stream",
    "test_masks_repeat_for_the_same_seed_step_and_stream",
    "test_words_are_uniform_in_every_byte",
    "test_p_next_to_one_drops_nearly_everything",
]
globals().update(adopt("test_random", {"size": [1, 3, 4, 31, 67]}, WITHOUT))
