"""What should be done about a diagnosis: the next safe move, never more.

Pure, and without memory where it can be: how far a restart has come is read from the episode's steps every tick, so
whoever takes over after a crash sees the same.
"""
