"""The pieces of GPT-2's tokenizer in the form of a Vocabulary: text with `▁` for a space, not bytes.

GPT-2 (Radford et al. 2019, section 2.2) merges bytes, each represented by one letter. A piece that is valid text
becomes that text; a piece that ends within the bytes of a letter gets a name that occurs in no caption. Cleaned English
captions are split in the same way as by GPT-2's tokenizer.
"""

from __future__ import annotations

from captioner.hub_presets import explained, import_keras_hub
from captioner.storage import DataError
from captioner.text.bpe import BEGINS, BytePairs

END = "<|endoftext|>"


def gpt2_pieces(preset: str, unknown: str) -> BytePairs:
    """Return the pieces of a preset's tokenizer, in the order of their numbers, without the last one, the end.

    Args:
        preset: a preset of KerasHub's GPT-2, or its folder.
        unknown: the piece for letters that are in no piece.

    Raises:
        ConfigError: there is no such preset.
        DataError: KerasHub is not installed, the preset is not available, or its last piece is not the end.
    """
    hub = import_keras_hub(preset)
    with explained(preset, list(hub.models.GPT2Tokenizer.presets)):
        tokenizer = hub.models.GPT2Tokenizer.from_preset(preset)
    numbers = {piece: int(number) for piece, number in tokenizer.vocabulary.items()}
    pieces = sorted(numbers, key=numbers.__getitem__)
    if pieces[-1] != END or numbers[END] != len(pieces) - 1:
        raise DataError(f"{preset}: the last piece of its tokenizer is not {END}; text.pieces takes those of a GPT-2")
    written = {piece: as_text(piece) for piece in pieces}
    names = [text if (text := written[piece]) is not None else f"<{piece}>" for piece in pieces[:-1]]
    merges = [tuple(merge.split(" ")) for merge in tokenizer.merges]
    kept = [(written.get(left), written.get(right)) for left, right in merges]
    return BytePairs(names, [(left, right) for left, right in kept if left is not None and right is not None], unknown)


def as_text(piece: str) -> str | None:
    """Return the text of a piece of bytes, with `▁` for a space; None if it has incomplete letters or a `▁`."""
    try:
        text = bytes(_BYTES[letter] for letter in piece).decode()
    except (KeyError, UnicodeDecodeError):
        return None
    return None if BEGINS in text else text.replace(" ", BEGINS)


def _letters_of_bytes() -> dict[str, int]:
    """Return letter -> byte as in GPT-2's encoder.py: printable bytes are themselves, the others are above 255."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(0x100) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + index): byte for index, byte in enumerate(others)}


_BYTES = _letters_of_bytes()
