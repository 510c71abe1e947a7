"""Reports on runs: scores, curves, captions and pictures in one HTML page that needs no network."""
