"""The variables by which processes that train together find each other; those of keras.distribution. Needs no Keras."""

from __future__ import annotations

ADDRESSES = "KERAS_DISTRIBUTION_JOB_ADDRESSES"
COUNT = "KERAS_DISTRIBUTION_NUM_PROCESSES"
NUMBER = "KERAS_DISTRIBUTION_PROCESS_ID"
LAUNCHED = "CAPTIONER_LAUNCHED"  # set for processes whose parent says what has happened
PEER_ENDED = 75  # exit code of such a process when another one has ended
