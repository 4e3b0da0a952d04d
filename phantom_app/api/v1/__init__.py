"""The public API: for merchants' own programs, with a key in place of a session."""
