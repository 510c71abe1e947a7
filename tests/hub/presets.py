"""Small KerasHub models with random weights, saved as presets."""

import atexit
import functools
import io
import re
import shutil
import tempfile
from pathlib import Path

import keras
import numpy as np
import pytest

from captioner.hub.families import without_warnings

keras_hub = pytest.importorskip("keras_hub")

WORDS = re.findall(
    r"\w+", "a red green blue white picture photo of dog cat man on the caption en answer in one sentence"
)
SIZE = 16  # pixels of a side
WIDTHS = {"hidden_dim": 16, "intermediate_dim": 32}
BLOCKS = {"num_heads": 2, **WIDTHS}
GEMMA = {"num_layers": 2, "num_query_heads": 2, "num_key_value_heads": 1, "head_dim": 8, **WIDTHS}
BLIP2_WORDS = {"num_query_tokens": 4, "qformer_hidden_dim": 16, **BLOCKS}


def sentencepiece(*signs, unk_first=False):
    """Return a vocabulary of whole words."""
    import sentencepiece as spm

    numbers = {"pad_id": 0, "bos_id": 1, "eos_id": 2, "unk_id": 3}
    if unk_first:
        numbers = {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1}
    pieces = {"pad_piece": "<pad>", "eos_piece": "</s>" if unk_first else "<eos>", "unk_piece": "<unk>"}
    if not unk_first:
        pieces["bos_piece"] = "<bos>"
    written = io.BytesIO()
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter([" ".join(WORDS)] * 5),
        model_writer=written,
        vocab_size=len(WORDS) + len(signs) + (3 if unk_first else 4),
        model_type="WORD",
        user_defined_symbols=list(signs),
        minloglevel=2,
        **numbers,
        **pieces,
    )
    return written.getvalue()


def pali_gemma():
    models = keras_hub.models
    tokenizer = models.PaliGemmaTokenizer(proto=sentencepiece("\n"))
    converter = keras_hub.layers.PaliGemmaImageConverter(image_size=(SIZE, SIZE), scale=1 / 127.5, offset=-1.0)
    backbone = models.PaliGemmaBackbone(
        vocabulary_size=tokenizer.vocabulary_size(),
        image_size=SIZE,
        vit_patch_size=8,
        vit_num_heads=2,
        vit_hidden_dim=16,
        vit_num_layers=1,
        vit_intermediate_dim=32,
        **GEMMA,
    )
    preprocessor = models.PaliGemmaCausalLMPreprocessor(tokenizer, converter, sequence_length=24)
    return models.PaliGemmaCausalLM(preprocessor, backbone)


def _blip2(language_model):
    models = keras_hub.models
    vision = models.BLIP2VisionEncoder(
        image_size=SIZE,
        patch_size=8,
        num_layers=1,
        use_patch_bias=True,
        use_class_token=True,
        use_mha_bias=True,
        use_mlp_bias=True,
        dropout_rate=0.0,
        layer_norm_epsilon=1e-6,
        initializer_range=0.02,
        **BLOCKS,
    )
    former = models.BLIP2QFormer(
        num_query_tokens=4,
        num_layers=2,
        vision_dim=16,
        cross_attention_frequency=2,
        dropout=0.0,
        layer_norm_epsilon=1e-6,
        **BLOCKS,
    )
    return models.BLIP2Backbone(vision, former, language_model)


def blip2_opt():
    models = keras_hub.models
    pieces = ["<pad>", "</s>", "<image>", "Ċ", "Ġ", *"abcdefghijklmnopqrstuvwxyz", "Ġa"]
    tokenizer = models.BLIP2OPTTokenizer({piece: number for number, piece in enumerate(pieces)}, ["Ġ a"])
    size = tokenizer.vocabulary_size()
    language_model = models.BLIP2CustomOPT(size, num_layers=2, dropout=0.0, max_sequence_length=64, **BLIP2_WORDS)
    converter = keras_hub.layers.BLIP2ImageConverter(image_size=(SIZE, SIZE))
    preprocessor = models.BLIP2CausalLMPreprocessor(tokenizer, converter, sequence_length=32)
    return models.BLIP2CausalLM(preprocessor, _blip2(language_model))


def blip2_t5():
    models = keras_hub.models
    tokenizer = models.BLIP2FlanT5Tokenizer(sentencepiece(unk_first=True))
    language_model = models.BLIP2FlanT5(tokenizer.vocabulary_size(), num_layers=1, **BLIP2_WORDS)
    converter = keras_hub.layers.BLIP2ImageConverter(image_size=(SIZE, SIZE))
    preprocessor = models.BLIP2Seq2SeqLMPreprocessor(tokenizer, converter, 12, 24)
    return models.BLIP2Seq2SeqLM(preprocessor=preprocessor, backbone=_blip2(language_model))


def gemma3():
    models = keras_hub.models
    signs = ("<img>", "<start_of_image>", "<end_of_image>", "<start_of_turn>", "<end_of_turn>", "\n")
    tokenizer = models.Gemma3Tokenizer(proto=sentencepiece(*signs))
    vision = models.Gemma3VisionEncoder(
        image_size=SIZE, patch_size=4, num_layers=1, output_dim=16, pool_size=2, **BLOCKS
    )
    backbone = models.Gemma3Backbone(
        vocabulary_size=tokenizer.vocabulary_size(), image_size=SIZE, vision_encoder=vision, **GEMMA
    )
    converter = keras_hub.layers.Gemma3ImageConverter(image_size=(SIZE, SIZE), scale=1 / 127.5, offset=-1.0)
    preprocessor = models.Gemma3CausalLMPreprocessor(
        tokenizer, converter, sequence_length=40, max_images_per_prompt=2, num_vision_tokens_per_image=4
    )
    return models.Gemma3CausalLM(preprocessor, backbone)


MAKERS = {
    "PaliGemmaCausalLM": pali_gemma,
    "BLIP2CausalLM": blip2_opt,
    "BLIP2Seq2SeqLM": blip2_t5,
    "Gemma3CausalLM": gemma3,
}


def save(kind, folder, seed=0):
    """Save a model of a kind as a preset; its weights are large enough for captions that differ by the picture."""
    keras.utils.set_random_seed(seed)
    with without_warnings():
        task, numbers = MAKERS[kind](), np.random.default_rng(seed)
    for weight in task.weights:
        if len(weight.shape) > 1:
            weight.assign(numbers.normal(scale=0.5, size=weight.shape))
    task.save_to_preset(str(folder))
    return folder


@functools.cache
def preset(kind):
    """Return the folder of a model of a kind, made once and removed at the end; tests only read it."""
    folder = Path(tempfile.mkdtemp(prefix="captioner-preset-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return save(kind, folder)
