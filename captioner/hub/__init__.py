"""KerasHub's image-to-text models as captioners."""
