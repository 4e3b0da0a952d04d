"""The command line: starts PHANTOM, looks after it, and runs its one-off work."""
