"""Trained static vectors as the start of our embeddings: one vector a token, ours the mean of the pieces of its text.

A vocabulary of ours, with a reserve of their words for texts that are not here; their first `d_model` dimensions.
*Source*: arXiv 2205.13147 for vectors whose first dimensions mean most; the mean over pieces is ours.
"""
