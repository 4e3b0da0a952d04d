"""A believable business made from a seed: who its customers are, what they buy, and why their payments fail.

The reasons are hidden behind the outcomes: PHANTOM sees declines, clicks and payments, never a trait.
"""
