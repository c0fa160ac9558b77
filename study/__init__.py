"""Run the experiments of an image-classification study and record what they did."""
