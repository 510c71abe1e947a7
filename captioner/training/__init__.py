"""Training: from captions and features to a trained decoder."""
