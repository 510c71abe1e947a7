"""The report on a run: scores, curves, captions and pictures in one HTML page that needs no network."""
