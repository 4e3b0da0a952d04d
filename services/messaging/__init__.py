"""What customers are sent: when, in which words, through whom, and where the links lead."""
