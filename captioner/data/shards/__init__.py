"""TFRecord shards: captions with features or pictures, streamed from files of a few hundred megabytes."""
