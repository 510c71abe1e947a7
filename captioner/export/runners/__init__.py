"""What becomes run.py beside an exported model: pixels.py or files.py, with a runtime's lines in it."""
