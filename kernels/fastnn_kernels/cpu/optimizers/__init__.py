"""Update rules, one a file: a pass over one flat array, with the gradient's scale (clipping) and weight decay folded in, and the
rule's instruction for compiled programs.

State that a variant has no use for is an array of size 0. Written and read in place: w, and the state. The variants are torch's.
"""
