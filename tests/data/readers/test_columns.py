from captioner.data.readers.columns import find_columns, read_texts


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


def test_a_text_that_spells_a_list_is_that_list() -> None:
    assert read_texts('["a", "dog"]') == (["a", "dog"], True, False)
    assert read_texts("[{'tokens': ['a', 'dog'], 'raw': 'A dog.'}, {'raw': 'Dogs.'}]").captions == ["A dog.", "Dogs."]
    assert read_texts("a [dog]") == (["a [dog]"], False, False)


def test_numbered_columns_are_of_the_kind_that_is_asked_for() -> None:
    predicted = ["image", "reference_1", "reference_2", "prediction"]
    assert find_columns(predicted, predictions=True).captions == ("prediction",)
    assert find_columns(predicted).captions == ("reference_1", "reference_2")
    both = ["image", "caption", "prediction_1", "prediction_2"]
    assert find_columns(both).captions == ("caption",)
    assert find_columns(both, predictions=True).captions == ("prediction_1", "prediction_2")
    assert find_columns(["image", "caption_1", "caption_2"], predictions=True).captions == ("caption_1", "caption_2")
