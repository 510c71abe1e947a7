"""Random strings of many scripts, made of words, signs between them and signs anywhere."""

import random
import unicodedata

WORDS = """
    niño él café naïve jalapeño Straße Männer çocuk İstanbul'da mężczyzna một chó pão-de-ló água
    œuvre ĳs ﬁne ǆ Łódź l'école L'École d'été qu'il Qu'est aujourd'hui j'ai J'ai c'est C'est s'il
    l’homme c’est d’un jusqu’à dell'acqua po' l'eau собака в кепке ё об'єкт м'яч О'Брайен Київ
    άνδρας ΣΚΥΛΟΣ λόγος Ὀδυσσεύς ᾳ 一个 男人 在跑步 「犬」 개가 달린다 ｶﾅ ＡＢＣ １２３ 、 。 ！ （ رجل امرأة ،كلب هل؟
    کتا۔ رَجُل ٣٤ ٪ سگ‌ها एक कुत्ता दौड़ है। रंग-बिरंगे १२ কুকুর দৌড়াচ্ছে। நாய் ಕನ್ನಡ ผู้ชาย ม้า ๑๒
    ຫມາ ខ្មែរ မြန်မာ 😀 👍🏽 ❤️ ★ ♥ ☕ ✓ → ☃ 🇫🇷 ™ ® © ♪ ■ 1 20 100 1,000 2.5 3×4 5mm² 20°C 10–20 Ⅳ
    ⅻ ½ 1½ ¼ ⅓ ⅛ ² H₂O № 5€ €5 £5 ¥5 ₹5 5¢ 1⁄2 ① 1er 3º ５ 3/4 a dog it's don't he'll boys' rock 'n'
    o'clock Mr. U.S. t-shirt and/or w/o "big" (small) [x] etc. no. St. 10th 90s '80s can't cannot
    gonna e.g. Dr. 3-D #1 @home a&b $5 50% “ ” ‘ ’ ‚ „ ‹ › « » … – — ― ‐ ‑ ‒ ′ ″ ´ ` ¨ ¿ ¡ · • ‰ § ±
    ÷ µ
    """.split()  # noqa: SIM905
BETWEEN = [*"-/'’._‐–—,:!?…&·\u00a0´`‘‑*+=@#%$~|\\()[]\"“”«»;\u00ad\u200b\u200d", "", "..."]
MARKS = [*map(chr, range(0x300, 0x370)), *"\u0591\u064b\u0670\u093c\u094d\u09bc\u0e31\u20d0\ufe0f\u200d\u00ad\u0488"]
ENDINGS = ["'s", "’s", "'ll", "n't", "n’t", "'t", "'", "’", "'re", "'d"]
_LINE_ENDS = "\n\x0b\x0c\r\x1c\x1d\x1e\x85\u2028\u2029"
SIGNS = [
    sign
    for sign in map(chr, [*range(0x20, 0x3400), *range(0x4E00, 0x4E40), *range(0xAC00, 0xAC40), *range(0xF900, 0xFFF0)])
    if unicodedata.category(sign) not in ("Cn", "Cs", "Co") and sign not in _LINE_ENDS
]


def odd_strings(count: int, seed: int) -> list[str]:
    """Return random strings of one to four words."""
    chance = random.Random(seed)

    def word() -> str:
        text, kind = chance.choice(WORDS), chance.random()
        place = chance.randrange(len(text) + 1)
        if kind < 0.08:
            return text[:place] + chance.choice(MARKS) + text[place:]
        if kind < 0.14:
            return text + chance.choice(BETWEEN) + chance.choice(WORDS)
        if kind < 0.2:
            return chance.choice(BETWEEN) + text
        if kind < 0.26:
            return text + chance.choice(BETWEEN)
        if kind < 0.3:
            return text[:place] + chance.choice(SIGNS) + text[place:]
        if kind < 0.36:
            return chance.choice([text.upper(), text.capitalize(), unicodedata.normalize("NFD", text)])
        return text + chance.choice(ENDINGS) if kind < 0.4 else text

    strings = (" ".join(word() for _ in range(chance.randint(1, 4))) for _ in range(count))
    return [text for text in strings if text.strip()]
