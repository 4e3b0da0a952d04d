"""Deciding what to do about a ghost, and what became of it."""
