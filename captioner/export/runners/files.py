"""Caption pictures (JPEG, PNG, GIF, BMP): python run.py PICTURE [PICTURE ...]. Needs tensorflow."""

import sys
from pathlib import Path

import tensorflow as tf

if __name__ == "__main__":
    model = tf.saved_model.load(str(Path(__file__).parent / "saved_model")).signatures["serving_default"]
    for name in sys.argv[1:]:
        found = model(tf.constant([Path(name).read_bytes()]))
        for caption, log_prob in zip(found["captions"].numpy()[0], found["log_probs"].numpy()[0]):
            if log_prob > -1e8:  # the model may have fewer captions than were asked for
                print(name, caption.decode(), f"{log_prob:.4f}", sep="\t")
