"""Feature files: stores that are read by image_id."""
