import re
from pathlib import Path

import numpy as np
import pytest

import captioner.recipe
from captioner.config import ConfigError, build, to_settings
from captioner.encoders.table import default_backbone
from captioner.generation.decode import make_search
from captioner.models.architectures import build_decoder
from captioner.recipe import Recipe, Source, find_recipe, from_the_box, in_the_box, load_recipe
from captioner.storage import DataError
from captioner.text.vocabulary import TextConfig, Vocabulary
from captioner.training.numpy_fit import require_plain
from captioner.training.optimizers import make_optimizer
from tests.models.gpt2 import small_gpt2

SHIPPED = sorted((Path(__file__).parent.parent / "configs").glob("*.yaml"))
VOCABULARY = Vocabulary.fit([[f"w{index}"] for index in range(16)], TextConfig(min_count=1))  # 20 with the specials
SMALL = """
data: {captions: captions.txt, splits: {train: train.txt, dev: dev.txt}}
features: features.pkl
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def recipe_file(folder, text=SMALL, name="small.yaml"):
    (folder / name).write_text(text)
    return Source(Path(name))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_recipe_builds_against_the_code(path):
    recipe = load_recipe(Source(path))
    assert {"train", "dev", recipe.evaluation.split} <= recipe.data.splits.keys()
    assert build(Recipe, to_settings(recipe)) == recipe
    assert path.read_text().startswith("# ")
    if recipe.train.engine == "numpy":
        require_plain(recipe.model, recipe.train)
    shape = (8,) if recipe.encoder.layer in ("pool", "fc2") else (4, 8)  # a vector, or regions
    offline = {"language_model": small_gpt2(17)} if recipe.model["architecture"] == "prefix" else {}
    decoder = build_decoder({**recipe.model, **offline}, vocabulary_size=20, feature_shape=shape)
    features, tokens = np.ones((2, *shape), "float32"), np.array([[1, 5, 6], [1, 7, 2]], "int32")
    assert decoder((features, tokens)).shape == (2, 3, 20)
    make_search(decoder, recipe.generation, recipe.evaluation.n, VOCABULARY)
    make_optimizer(recipe.train, steps=10)


def test_there_are_shipped_recipes():
    assert {"sample", "merge_vgg16", "merge_efficientnet_lite2"} <= {path.stem for path in SHIPPED}


def test_without_a_name_the_folders_own_comes_before_the_samples(folder):
    assert find_recipe(None) == Source(in_the_box("configs/sample.yaml"), embedded=True)
    (folder / "captioner.yaml").write_text(SMALL)
    assert find_recipe(None) == Source(Path("captioner.yaml"))


def test_a_file_comes_before_one_in_the_box(folder):
    assert find_recipe("sample.yaml") == Source(in_the_box("configs/sample.yaml"))
    (folder / "sample.yaml").write_text(SMALL)
    assert find_recipe("sample.yaml") == Source(Path("sample.yaml"))


@pytest.mark.parametrize("name", ["merge_vgg16", "merge_vgg16.yaml", "configs/merge_vgg16.yaml"])
def test_one_in_the_box_is_found_from_anywhere(folder, name):
    source = find_recipe(name)
    assert source.path == in_the_box("configs/merge_vgg16.yaml") and source.name == "merge_vgg16"
    assert not source.embedded


@pytest.mark.parametrize("name", ["nope", "elsewhere/sample.yaml", "/sample.yaml", "."])
def test_an_unknown_one_says_which_are_known(folder, name):
    with pytest.raises(DataError, match=r": no such recipe; .* a built-in recipe: .*merge_vgg16, .*sample"):
        find_recipe(name)


def test_the_box_of_an_installed_package_comes_first(folder, monkeypatch):
    embedded = folder / "captioner" / "embedded" / "configs"
    embedded.mkdir(parents=True)
    (embedded / "sample.yaml").write_text(SMALL)
    monkeypatch.setattr(captioner.recipe, "__file__", str(folder / "captioner" / "recipe.py"))
    assert in_the_box("configs/sample.yaml") == embedded / "sample.yaml"
    assert in_the_box("data/sample") == folder / "data" / "sample"


def test_the_samples_inputs_are_found_in_the_box(folder):
    recipe = load_recipe(find_recipe(None))
    for path in (recipe.data.images, recipe.data.captions, *recipe.data.splits.values()):
        assert path is not None and Path(path).is_absolute() and Path(path).exists()
    assert not Path(recipe.features).is_absolute()  # outputs go under the current folder


def test_inputs_of_the_current_folder_come_before_the_box(folder):
    (folder / "data" / "sample").mkdir(parents=True)
    (folder / "data" / "sample" / "captions.txt").touch()
    assert load_recipe(find_recipe(None)).data.captions == "data/sample/captions.txt"


def test_the_users_folder_is_written_out(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder))
    (folder / "mine.yaml").write_text("data: {captions: ~/c.txt, splits: {train: ~/t.txt, dev: d~.txt}}\nfeatures: f")
    recipe = load_recipe(Source(folder / "mine.yaml"), ["features=~/f.pkl"])
    assert recipe.features == str(folder / "f.pkl") and recipe.data.captions == str(folder / "c.txt")
    assert recipe.data.splits == {"train": str(folder / "t.txt"), "dev": str(folder / "d~.txt")}


def test_paths_of_ones_own_are_left_alone(folder):
    recipe = load_recipe(recipe_file(folder))
    assert recipe.data.captions == "captions.txt" and from_the_box(recipe) == recipe


def test_what_is_left_out_has_defaults(folder):
    recipe = load_recipe(recipe_file(folder))
    assert recipe.encoder.backbone == default_backbone() and recipe.train.epochs == 20 and recipe.model == {}


def test_assignments_go_over_the_file(folder):
    assignments = ["train.epochs=3", "train.learning_rate=1e-4", "data.splits.test=test.txt", "model.units=8"]
    recipe = load_recipe(recipe_file(folder), assignments)
    assert (recipe.train.epochs, recipe.train.learning_rate, recipe.model) == (3, 1e-4, {"units": 8})
    assert recipe.data.splits["test"] == "test.txt" and recipe.data.splits["dev"] == "dev.txt"


@pytest.mark.parametrize(
    "extra, message",
    [
        ("trian: {}", r"trian: unknown setting; did you mean train\?"),
        ("train: {epochs: many}", r"train\.epochs: expected a whole number, found 'many' \(str\)"),
        ("train: {epochs: 0}", "train: epochs must be 1 or more, found 0"),
        ("encoder: {backbone: vgg61}", "encoder: backbone 'vgg61' is unknown; did you mean vgg19"),
        ("extraction: {threads: 0}", "extraction: threads: must be at least 1, found 0"),
        ("generation: {beam_size: 0}", "generation: beam_size must be 1 or more, found 0"),
        ("model: {architecture: merg}", r"model\.architecture: 'merg' does not exist; known: .*merge"),
        ("model: {unitz: 3}", r"model\.unitz: unknown setting; did you mean units\?"),
        ("evaluation: {metrics: [blue]}", r"evaluation\.metrics: 'blue' is not known \(known: bleu, "),
    ],
)
def test_a_wrong_setting_is_found_at_once_and_its_file_named(folder, extra, message):
    with pytest.raises(ConfigError, match=rf"^small\.yaml: {message}"):
        load_recipe(recipe_file(folder, SMALL + extra))


def test_a_wrong_setting_of_the_command_line_is_not_put_on_the_file(folder):
    with pytest.raises(ConfigError, match=r"^--set: train\.epohcs: unknown setting; did you mean epochs\?"):
        load_recipe(recipe_file(folder), ["train.epohcs=3"])
    with pytest.raises(ConfigError, match=r"^small\.yaml: trian: unknown setting"):
        load_recipe(recipe_file(folder, SMALL + "trian: {}"), ["train.epochs=3"])


def test_a_recipe_without_captions(folder):
    with pytest.raises(ConfigError, match=r"^small\.yaml: data\.captions: missing; give it in the YAML file"):
        load_recipe(recipe_file(folder, "data: {}\nfeatures: f.pkl"))


def test_features_that_are_not_named_have_a_file_for_each_folder_encoder_and_layer(folder):
    text = "data: {images: my/photos, captions: captions.txt}\nencoder: {backbone: efficientnet_lite0}"
    assert load_recipe(recipe_file(folder, text)).features == "features/photos_efficientnet_lite0_pool.pkl"
    grid = load_recipe(recipe_file(folder, text), ["encoder.layer=grid", "encoder.resizing=crop"])
    assert grid.features == "features/photos_efficientnet_lite0_grid_crop.h5"
    large = load_recipe(recipe_file(folder, text), ["encoder.layer=grid", "encoder.input_size=320"])
    assert large.features == "features/photos_efficientnet_lite0_grid_320.h5"
    with pytest.raises(ConfigError, match=r"features: missing; name the feature file, or the folder of pictures"):
        load_recipe(recipe_file(folder, "data: {captions: captions.txt}"))


ATTENTION = """
data: {captions: captions.txt, images: photos}
features: features/photos_vgg16_block5_pool.h5
encoder: {backbone: vgg16, layer: block5_pool}
model: {architecture: attention, units: 64, attention_units: 32, doubly_stochastic: 0.5, embedding_size: 32}
"""


def test_another_architecture_keeps_what_both_have(folder, caplog):
    recipe = load_recipe(recipe_file(folder, ATTENTION), ["model.architecture=merge"])
    assert recipe.model == {"architecture": "merge", "units": 64, "embedding_size": 32}
    assert recipe.encoder.layer == "pool" and recipe.features == "features/photos_vgg16_pool.pkl"
    assert "model.attention_units, model.doubly_stochastic: ignored, because merge has no" in caplog.text
    assert "encoder.layer: changed to pool, which merge needs" in caplog.text


def test_another_architecture_takes_the_grid_where_it_needs_one(folder, caplog):
    text = "data: {captions: c.txt, images: photos}\nencoder: {backbone: vgg16}\nmodel: {units: 64, cell: gru}"
    recipe = load_recipe(recipe_file(folder, text), ["model.architecture=transformer", "model.layers=3"])
    assert recipe.model == {"architecture": "transformer", "layers": 3}
    assert recipe.encoder.layer == "grid" and recipe.features.endswith("photos_vgg16_grid.h5")
    kept = load_recipe(recipe_file(folder, text), ["model.architecture=attention", "encoder.layer=block4_pool"])
    assert kept.encoder.layer == "block4_pool" and kept.model["units"] == 64


def test_a_setting_that_the_user_gives_must_suit_the_architecture(folder):
    with pytest.raises(ConfigError, match=r"^--set: model\.attention_units: unknown setting"):
        load_recipe(recipe_file(folder, ATTENTION), ["model.architecture=merge", "model.attention_units=3"])


def test_paths_start_from_the_recipe(folder, monkeypatch):
    project, elsewhere = folder / "project", folder / "elsewhere"
    (project / "photos").mkdir(parents=True)
    elsewhere.mkdir()
    (project / "captions.txt").touch()
    text = "data: {images: photos, captions: captions.txt, splits: {train: 0.5, dev: 0.5}}"
    (project / "captioner.yaml").write_text(text)
    monkeypatch.chdir(elsewhere)
    recipe = load_recipe(find_recipe("../project/captioner.yaml"))
    assert recipe.data.images == "../project/photos" and recipe.data.captions == "../project/captions.txt"
    assert recipe.features.startswith("../project/features/photos_") and recipe.data.split_lists == "../project/splits"
    given = load_recipe(find_recipe("../project/captioner.yaml"), ["data.captions=mine.txt"])
    assert given.data.captions == "mine.txt"  # what the command line names starts from here


def test_recipes_in_configs_start_from_the_folder_above(folder, monkeypatch):
    (folder / "configs").mkdir()
    (folder / "captions.txt").touch()
    recipe_file(folder, name="configs/small.yaml")
    assert load_recipe(Source(Path("configs/small.yaml"))).data.captions == "captions.txt"
    (folder / "inner").mkdir()
    monkeypatch.chdir(folder / "inner")
    assert load_recipe(Source(Path("../configs/small.yaml"))).data.captions == "../captions.txt"


def test_inputs_of_the_current_folder_are_found_too(folder, monkeypatch):
    (folder / "recipes").mkdir()
    (folder / "captions.txt").touch()
    recipe_file(folder, name="recipes/small.yaml")
    assert load_recipe(Source(Path("recipes/small.yaml"))).data.captions == "captions.txt"


@pytest.mark.parametrize(
    ("assignment", "key"),
    [
        ("train.seed=-1", "train"),
        ("train.seed=4294967296", "train"),
        ("model.units=1000000000", "model"),
        ("model.layers=1000", "model"),
        ("model.architecture=[merge]", "model.architecture"),
        ("model.architecture={a: b}", "model.architecture"),
        (f"train.epochs={'1' * 300}", "train.epochs"),
        (f"train.epochs={'1' * 5000}", "train.epochs"),
        ("train.seed=!!timestamp abc", "train.seed"),
        ("train.seed=!!python/object/apply:os.getcwd []", "train.seed"),
        ("train.seed=&a [*a]", "train.seed"),
        ('data.captions="a\\0b"', "data.captions"),
        ('model.embeddings="\\ud800"', "model"),
    ],
)
def test_impossible_values_are_refused_in_one_line_that_names_them(assignment, key):
    with pytest.raises(ConfigError, match=re.escape(key)) as refusal:
        load_recipe(find_recipe("sample"), (assignment,))
    assert "\n" not in str(refusal.value)
