import pytest

from captioner.training.best_epoch import Ranking


def history(*scores, **more):
    return [{"epoch": n, "val_loss": 2.0, "cider_d": value, **more} for n, value in enumerate(scores, start=1)]


def test_an_epoch_beside_which_nothing_is_known_is_ranked_by_itself():
    rows = history(0.3)
    assert Ranking("cider_d", True).rank(rows, rows[0]) == Ranking("cider_d", False).rank(rows, rows[0]) == (0.3, -2.0)


def test_the_mean_is_of_the_epoch_and_the_scored_ones_before_and_after():
    rows = history(0.1, 0.2, 0.6)
    rows.insert(1, {"epoch": 1.5, "val_loss": 9.0})
    ranking = Ranking("cider_d", True)
    assert ranking.rank(rows, rows[0]) == pytest.approx((0.15, -2.0))
    assert ranking.rank(rows, rows[2]) == pytest.approx((0.3, -2.0))
    assert ranking.rank(rows, rows[3]) == pytest.approx((0.4, -2.0))


def test_epochs_that_are_no_better_than_chance_are_ranked_below_all_that_are():
    rows = [*history(0.9, chance=0.9), {"epoch": 2, "val_loss": 9.0, "cider_d": 0.1, "chance": 0.0}]
    ranking = Ranking("cider_d", False)
    assert ranking.rank(rows, rows[1]) > ranking.rank(rows, rows[0])


def test_by_the_loss_every_epoch_counts():
    rows = [{"epoch": 1, "val_loss": 3.0}, {"epoch": 2, "val_loss": 2.0}]
    ranking = Ranking("val_loss", False)
    assert all(map(ranking.counts, rows)) and ranking.rank(rows, rows[1]) > ranking.rank(rows, rows[0])


@pytest.mark.parametrize(("with_neighbours", "last", "judged"), [(False, False, [3]), (True, False, [2])])
def test_an_epoch_is_judged_when_all_is_known_that_it_is_ranked_by(with_neighbours, last, judged):
    rows = history(0.1, 0.2, 0.3)
    assert [row["epoch"] for row in Ranking("cider_d", with_neighbours).judged(rows, last)] == judged


def test_after_the_last_epoch_that_one_is_judged_too():
    assert [row["epoch"] for row in Ranking("cider_d", True).judged(history(0.1, 0.2), last=True)] == [1, 2]


def test_an_epoch_without_captions_judges_none():
    assert Ranking("cider_d", True).judged([*history(0.1, 0.2), {"epoch": 3, "val_loss": 1.0}], last=False) == []


def test_the_mean_is_of_what_all_the_neighbours_have():
    rows = [{"epoch": 1, "val_loss": 3.0}, {"epoch": 2, "val_loss": 2.0, "bleu_1": 0.5}, {"epoch": 3, "val_loss": 1.0}]
    assert Ranking("val_loss", True).rank(rows, rows[1]) == (-2.0,)
