"""XMP in pictures: the packet, and where JPEG, PNG and WebP files keep it."""
