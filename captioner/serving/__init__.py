"""Serve a trained captioner over HTTP: the API, its web page, and the protocols of existing programs."""
