"""Models: the caption decoders behind one contract."""
