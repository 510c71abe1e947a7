"""Encoders: pretrained networks from pictures to features."""
