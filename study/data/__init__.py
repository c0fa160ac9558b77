"""Datasets, the out-of-distribution images, augmentation."""
