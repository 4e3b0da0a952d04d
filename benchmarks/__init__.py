"""What PHANTOM must reach, measured: each module is one bench, each with its control in the same run."""
