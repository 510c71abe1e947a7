from captioner.training.checkpoint import TrainingState
from captioner.training.config import TrainConfig
from captioner.training.epoch_line import TimeLeft, describe_epoch

ROW = {"epoch": 3, "loss": 2.5, "val_loss": 2.25, "bleu_4": 0.2, "cider_d": 0.5, "seconds": 61.25}


def test_a_line_has_losses_scores_and_time():
    line = describe_epoch({**ROW, "val_perplexity": 9.4877}, 20, 3, "17 minutes left")
    assert line == (
        "epoch 3/20: loss 2.5000, dev loss 2.2500 (perplexity 9.49), dev BLEU-4 20.00, CIDEr-D 50.0 (best); "
        "61.2 s, 17 minutes left"
    )


def test_a_line_says_which_epoch_its_score_has_made_the_best():
    assert "CIDEr-D 50.0 (epoch 2 is the best); 61.2 s" in describe_epoch(ROW, 20, 2, "")


def test_an_epoch_whose_captions_are_not_scored_has_a_line_without_them():
    row = {name: value for name, value in ROW.items() if name not in ("bleu_4", "cider_d")}
    assert describe_epoch(row, 20, None, "") == "epoch 3/20: loss 2.5000, dev loss 2.2500; 61.2 s"


def test_the_time_left_is_that_of_epochs_like_those_after_the_first():
    state = TrainingState(epoch=1)
    left = TimeLeft(TrainConfig(epochs=5), state)
    left.count(100.0)
    assert left.seconds() == 400.0
    for seconds in (50.0, 70.0):
        state.epoch += 1
        left.count(seconds)
    assert left.seconds() == 120.0 and left.line() == "2 minutes left"


def test_no_more_time_is_left_than_the_recipe_gives():
    state = TrainingState(epoch=1, history=[{"seconds": 60.0}])
    left = TimeLeft(TrainConfig(epochs=50, max_minutes=3), state)
    left.count(60.0)
    assert left.seconds() == 120.0


def test_after_the_last_epoch_nothing_is_left():
    left = TimeLeft(TrainConfig(epochs=5), TrainingState(epoch=5))
    left.count(1.0)
    assert left.line() == ""
