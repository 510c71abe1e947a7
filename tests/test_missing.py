from captioner.data.download.catalog import DATA_SETS
from captioner.missing import DOWNLOADABLE, way_out


def test_a_missing_part_of_a_data_set_names_its_download() -> None:
    assert set(DOWNLOADABLE) == set(DATA_SETS)
    assert way_out("data/flickr8k/Flickr8k.token.txt") == "`captioner download flickr8k` gets it"
    assert way_out("/home/me/data/coco2014/train2014", "x") == "`captioner download coco2014` gets it"
    assert way_out("data/sample/x.txt") == way_out("flickr8k/x.txt") == way_out("data") == "check the path"
