"""What is run, as pure data: presets and the levels' experiments."""
