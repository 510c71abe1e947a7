"""Models: the caption decoders, which all follow one contract."""
