"""Pictures on disk: their ids, their listing, their decoding."""
