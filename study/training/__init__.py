"""The trainer, its loss, its optimizer and checkpoints."""
