"""The classifier, this study's own networks, pretrained weights."""
