"""Write captions to standard output, to files beside the pictures, or into the pictures' metadata."""
