"""What happened, for people: the live log a merchant reads, and who did what."""
