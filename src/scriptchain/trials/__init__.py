"""Small randomized experiments: paired seeds, an arm in which nothing changes, one in which anything does."""
