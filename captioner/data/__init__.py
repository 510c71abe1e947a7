"""Data sets: captions, pictures and splits, and the batches made of them."""
