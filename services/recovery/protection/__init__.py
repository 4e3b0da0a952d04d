"""Charges that have not failed yet: which are at risk, and what became of them."""
