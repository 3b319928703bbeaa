"""Generators of training and evaluation text. Pure Python: a seed and a split decide every character."""
