"""The captioner in the box: a trained captioner that comes with the package."""
