"""Generation: greedy and beam search over any caption decoder."""
