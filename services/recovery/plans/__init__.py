"""What happens next to each ghost and why: planned, shown ahead, turned into tasks."""
