"""The `model` section of a recipe: the settings of every architecture. It can be checked without Keras."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, ClassVar, Literal, NamedTuple

from captioner.config import ConfigError, build

MAX_WIDTH, MAX_LAYERS = 2**14, 100


def require_shares(**rates: float) -> None:
    """Check dropout rates. Raises ValueError for a rate that is not at least 0 and below 1."""
    for name, rate in rates.items():
        if not 0 <= rate < 1:
            raise ValueError(f"{name} must be at least 0 and below 1, found {rate}")


def require_sizes(**sizes: int) -> None:
    """Check widths and numbers. Raises ValueError for a value below 1, or too large for any machine."""
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name} must be 1 or more, found {size}")
        if size > (most := MAX_LAYERS if name.endswith("layers") else MAX_WIDTH):
            raise ValueError(f"{name} must be at most {most}, found {size}")


@dataclass(frozen=True)
class L2Config:
    """Weights of the squares of kernels in the loss, by group.

    Attributes:
        picture: kernels that read the picture.
        words: the word embedding.
        recurrent: the recurrent layers' kernels; a transformer has none.
        output: the output layer's kernel. With `tied` that is the word embedding, which `words` regularizes.
    """

    picture: float = 0.0
    words: float = 0.0
    recurrent: float = 0.0
    output: float = 0.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 0:
                raise ValueError(f"{name} must be 0 or more, found {value}")


@dataclass(frozen=True, kw_only=True)
class WordsConfig:
    """Settings of words that all architectures share.

    Attributes:
        embedding_size: width of the word embedding.
        embeddings: a GloVe or word2vec file with initial values of the embedding; null for random values.
        freeze_embeddings: whether the embedding is not trained.
        tied: whether the output layer uses the embedding's weights (Press and Wolf 2017).
        output_bias: initial values of the output layer's bias: zeros, or the logarithms of the words' frequencies.
        normalize: whether a picture's features are first scaled to a root mean square of 1.
        feature_dropout: dropout on the picture's features.
        word_dropout: dropout on the word embeddings.
        output_dropout: dropout before the output layer.
        l2: weight of the squares of kernels in the loss, by group.
    """

    embedding_size: int = 256
    embeddings: str | None = None
    freeze_embeddings: bool = False
    tied: bool = False
    output_bias: Literal["zeros", "frequency"] = "zeros"
    normalize: bool = False
    feature_dropout: float = 0.5
    word_dropout: float = 0.5
    output_dropout: float = 0.0
    l2: L2Config = field(default_factory=L2Config)

    def __post_init__(self) -> None:
        require_sizes(embedding_size=self.embedding_size)
        require_shares(
            feature_dropout=self.feature_dropout, word_dropout=self.word_dropout, output_dropout=self.output_dropout
        )
        if self.freeze_embeddings and self.embeddings is None:
            raise ValueError("freeze_embeddings needs embeddings, a file of word vectors")


@dataclass(frozen=True, kw_only=True)
class RecurrentConfig(WordsConfig):
    """Settings of decoders around a recurrent layer.

    Attributes:
        cell: kind of the recurrent layers.
        units: width of the recurrent layers.
        layers: number of stacked recurrent layers.
        recurrent_dropout: dropout on the previous output inside a layer, with one mask for all words of a caption.
        layer_dropout: dropout between two layers.
        layer_norm: whether each layer's output is normalized.
    """

    cell: Literal["rnn", "gru", "lstm"] = "lstm"
    units: int = 256
    layers: int = 1
    recurrent_dropout: float = 0.0
    layer_dropout: float = 0.0
    layer_norm: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        require_sizes(units=self.units, layers=self.layers)
        require_shares(recurrent_dropout=self.recurrent_dropout, layer_dropout=self.layer_dropout)
        if self.layer_dropout and self.layers == 1:
            raise ValueError("layer_dropout needs 2 layers or more, found 1; set it to 0")


@dataclass(frozen=True, kw_only=True)
class MergeConfig(RecurrentConfig):
    """Settings of the merge model; `units` is also the width of the picture's dense layer and the joint dense layer.

    Attributes:
        combine: how picture and words are joined: added, multiplied or concatenated.
    """

    combine: Literal["add", "multiply", "concatenate"] = "add"


@dataclass(frozen=True, kw_only=True)
class InjectConfig(RecurrentConfig):
    """Settings of the inject models, the same as for every recurrent decoder."""


@dataclass(frozen=True, kw_only=True)
class AttentionConfig(RecurrentConfig):
    """Settings of the attention model.

    Attributes:
        attention_units: width of the space in which the state and the regions are compared.
        doubly_stochastic: weight of a term in the loss: the mean, over captions and regions, of (1 - the attention
            paid to the region over the whole caption) ** 2. It makes the model attend to all regions (eq. 14).
    """

    attention_units: int = 512
    doubly_stochastic: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require_sizes(attention_units=self.attention_units)
        if self.doubly_stochastic < 0:
            raise ValueError(f"doubly_stochastic must be 0 or more, found {self.doubly_stochastic}")


@dataclass(frozen=True, kw_only=True)
class AdaptiveConfig(RecurrentConfig):
    """Settings of adaptive attention.

    Attributes:
        attention_units: width of the space in which the output is compared with the regions and the sentinel.
    """

    attention_units: int = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        require_sizes(attention_units=self.attention_units)


@dataclass(frozen=True, kw_only=True)
class AttentionOnAttentionConfig(RecurrentConfig):
    """Settings of attention on attention; `units` is the width of regions, queries and attended values.

    Attributes:
        heads: heads of every attention.
        refining_layers: self-attention layers over the regions, before the decoder attends to them (eq. 8).
        refining_dropout: dropout on the output of a refining layer.
    """

    heads: int = 8
    refining_layers: int = 1
    refining_dropout: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        require_sizes(heads=self.heads)
        require_shares(refining_dropout=self.refining_dropout)
        if self.refining_layers < 0:
            raise ValueError(f"refining_layers must be 0 or more, found {self.refining_layers}")
        require_sizes(refining_layers=self.refining_layers or 1)
        if self.units % self.heads:
            raise ValueError(f"heads must divide units {self.units}, found {self.heads}")


@dataclass(frozen=True, kw_only=True)
class TransformerConfig(WordsConfig):
    """Settings of the transformer; `embedding_size` is the width of every layer.

    Attributes:
        tied: whether the output layer uses the embedding's weights; true by default.
        layers: layers of the decoder.
        encoder_layers: self-attention layers over the regions, before the decoder attends to them.
        heads: heads of every attention.
        feedforward_units: width inside the feed-forward blocks.
        dropout: dropout on the output of every block, before it is added.
    """

    tied: bool = True
    feature_dropout: float = 0.0
    word_dropout: float = 0.1
    layers: int = 2
    encoder_layers: int = 0
    heads: int = 4
    feedforward_units: int = 1024
    dropout: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        require_sizes(layers=self.layers, heads=self.heads, feedforward_units=self.feedforward_units)
        require_shares(dropout=self.dropout)
        if self.encoder_layers < 0:
            raise ValueError(f"encoder_layers must be 0 or more, found {self.encoder_layers}")
        require_sizes(encoder_layers=self.encoder_layers or 1)
        if self.embedding_size % self.heads:
            raise ValueError(f"heads must divide embedding_size {self.embedding_size}, found {self.heads}")


@dataclass(frozen=True, kw_only=True)
class PrefixConfig:
    """Settings of a language model that reads the picture as a prefix; `text.pieces` must name the same language model.

    Attributes:
        language_model: a preset of KerasHub's GPT-2, or its folder.
        train_language_model: whether its weights are trained; otherwise only the mapping is trained.
        mapping: network from picture to prefix: `mlp`, or `transformer`, which suits a frozen language model.
        prefix_length: number of vectors that the language model reads before the words.
        mapping_layers: layers of the mapping transformer.
        mapping_heads: attention heads of the mapping transformer; they must divide the language model's width.
        normalize: whether a picture's features are first scaled to a root mean square of 1.
        feature_dropout: dropout on the picture's features; the language model has its own dropout.
    """

    embeddings: ClassVar[None] = None  # the language model has its own
    output_bias: ClassVar[str] = "zeros"

    language_model: str = "gpt2_base_en"
    train_language_model: bool = True
    mapping: Literal["mlp", "transformer"] = "mlp"
    prefix_length: int = 10
    mapping_layers: int = 8
    mapping_heads: int = 8
    normalize: bool = False
    feature_dropout: float = 0.0

    def __post_init__(self) -> None:
        require_sizes(
            prefix_length=self.prefix_length, mapping_layers=self.mapping_layers, mapping_heads=self.mapping_heads
        )
        require_shares(feature_dropout=self.feature_dropout)


class Settings(NamedTuple):
    """The dataclass of an architecture's settings, and whether it takes a grid of regions or one vector a picture."""

    config: type[Any]
    takes_grid: bool


ARCHITECTURES = {
    "merge": Settings(MergeConfig, takes_grid=False),
    "init-inject": Settings(InjectConfig, takes_grid=False),
    "pre-inject": Settings(InjectConfig, takes_grid=False),
    "par-inject": Settings(InjectConfig, takes_grid=False),
    "attention": Settings(AttentionConfig, takes_grid=True),
    "adaptive": Settings(AdaptiveConfig, takes_grid=True),
    "attention-on-attention": Settings(AttentionOnAttentionConfig, takes_grid=True),
    "transformer": Settings(TransformerConfig, takes_grid=True),
    "prefix": Settings(PrefixConfig, takes_grid=False),
}


def model_config(settings: Mapping[str, Any]) -> tuple[str, Any]:
    """Return the architecture's name and its checked configuration from a recipe's `model` section.

    Raises:
        ConfigError: an unknown architecture (the message lists the known ones), an unknown setting or a wrong type.
    """
    options = dict(settings)
    name = options.pop("architecture", "merge")
    if not isinstance(name, str) or name not in ARCHITECTURES:
        raise ConfigError(f"model.architecture: {name!r} does not exist; known: {', '.join(ARCHITECTURES)}")
    try:
        return name, build(ARCHITECTURES[name].config, options, "model")
    except ConfigError as error:
        misspelt = get_close_matches("architecture", options, n=1)
        if misspelt:
            raise ConfigError(f"model.{misspelt[0]}: unknown setting; did you mean architecture?") from None
        raise error
