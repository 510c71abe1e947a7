from captioner.data.readers.columns import find_columns


def test_columns_are_known_by_many_names() -> None:
    assert find_columns(["Filename ", "Comment"]) == ("Filename ", ("Comment",), None, False)
    assert find_columns(["image_id", "image", "caption"]) == ("image", ("caption",), None, False)
    assert find_columns(["image", "sentence2", "sentence1", "split"]) == (
        "image",
        ("sentence2", "sentence1"),
        "split",
        False,
    )
    assert find_columns(["image", "comment_number"]) is None
    assert find_columns(["caption"]) is None
