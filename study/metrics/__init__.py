"""Measures of predictions that study and analysis share: pure functions of arrays."""
