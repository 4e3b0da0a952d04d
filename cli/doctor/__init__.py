"""`phantom doctor`: what is wrong with this installation and what to do about it, said before it goes wrong."""
