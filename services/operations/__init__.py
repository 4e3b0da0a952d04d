"""How the platform is doing, for operators and their monitoring."""
