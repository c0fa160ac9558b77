"""What is shipped: export, int8, latency, predictions, the model card."""
