"""Encoders: pretrained networks that compute features of pictures."""
