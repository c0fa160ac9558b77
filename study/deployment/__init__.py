"""What is shipped: int8 models, predictions, the model card."""
