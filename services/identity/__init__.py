"""Who is there and what they may do: people, passwords, sessions, permissions."""
