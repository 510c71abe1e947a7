"""A trained captioner behind HTTP: the API, its page, and the dialects of programs that exist already."""
