"""The trainer, its loss, its random streams and checkpoints."""
