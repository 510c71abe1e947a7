"""TFRecord shards: captions with features or pictures, streamed from several files."""
