"""A ghost's messages: composed, sent after a fresh look, followed to the click, ended by an opt-out."""
