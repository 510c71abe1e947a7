"""Vision: pictures, encoders, and the features that they extract."""
