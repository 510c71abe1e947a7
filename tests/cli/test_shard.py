from captioner.features.store import open_features
from tests.cli.test_train import leave_out


def test_a_picture_that_cannot_be_read_is_left_out_of_the_shards(call, untrained):
    leave_out("p03")
    result = call("shard", "-o", "shards", "--set", "data.max_unreadable=0.1")
    assert result.code == 0, result.err
    assert result.err.count("cannot be read") == 1
    assert result.out == "shards: 11 pictures of train, 4 pictures of dev\n"


def test_features_are_read_in_the_recipes_layout(call, untrained, monkeypatch):
    layouts = []

    def opened(path, layout="auto"):
        layouts.append(layout)
        return open_features(path, layout)

    monkeypatch.setattr("captioner.features.store.open_features", opened)
    assert call("shard", "-o", "shards", "--set", "features_layout=channels_last").code == 0
    assert layouts == ["channels_last"]
