"""Figures: the sums of each day, and what the screens ask of them."""
