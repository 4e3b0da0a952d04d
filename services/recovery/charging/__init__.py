"""Charging cards again: whether, when, with which card, within whose limits, and exactly once."""
