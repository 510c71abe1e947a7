"""XMP in pictures: the packet, and its place in JPEG, PNG and WebP files."""
