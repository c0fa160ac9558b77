"""What recorded predictions say: pure functions with intervals and tests."""
