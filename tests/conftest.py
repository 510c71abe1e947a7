"""What every test stands on: quiet TensorFlow, and no seed left over from another test."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
