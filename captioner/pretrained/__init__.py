"""The built-in captioner: a trained captioner that comes with the package."""
