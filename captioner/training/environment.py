"""The environment variables of keras.distribution, with which training processes find each other. Needs no Keras."""

from __future__ import annotations

ADDRESSES = "KERAS_DISTRIBUTION_JOB_ADDRESSES"
COUNT = "KERAS_DISTRIBUTION_NUM_PROCESSES"
NUMBER = "KERAS_DISTRIBUTION_PROCESS_ID"
LAUNCHED = "CAPTIONER_LAUNCHED"  # set for processes whose parent process reports errors
PEER_ENDED = 75  # exit code of such a process if another one has ended
