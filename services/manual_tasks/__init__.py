"""What waits for a person: ghosts above the high-value line, each with its draft, its assignee and its end."""
