import numpy as np

from captioner.metrics.retrieval import ranks_of, recalls


def test_recall_counts_the_right_ones_among_the_first():
    found = recalls([1, 3, 7, 0], "text")
    assert found == {"text_r1": 0.25, "text_r5": 0.5, "text_r10": 0.75, "text_median_rank": 5.0}
    assert recalls([0, 0], "text")["text_median_rank"] == 1.0  # none found: behind all that were looked at


def test_ties_count_against_and_what_was_not_looked_at_has_no_rank():
    scores = np.array([[3.0, 2.0, 1.0], [1.0, 1.0, 0.0], [5.0, -np.inf, 0.0]])
    assert ranks_of(scores, np.array([1, 0, 1])).tolist() == [2, 2, 0]
