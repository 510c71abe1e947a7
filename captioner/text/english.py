"""English words: which ones cannot end a sentence, and neutral ones for gendered ones."""

from __future__ import annotations

# Words that cannot end an English caption: articles, prepositions, conjunctions, possessives, auxiliaries.
ENGLISH_ENDINGS = (
    *("a", "an", "the", "this", "that", "these", "those", "his", "her", "its", "their", "my", "your", "our"),
    *("of", "in", "on", "at", "with", "without", "to", "from", "for", "by", "into", "onto", "over", "under", "through"),
    *("across", "along", "behind", "beside", "between", "against", "around", "near", "next", "towards", "toward"),
    *("above", "below", "during", "among", "inside", "as", "and", "or", "but", "while", "who", "which", "whose"),
    *("is", "are", "was", "were", "be", "being", "been", "has", "have", "very", "some", "several", "there"),
)

# Gendered words -> neutral ones. "her" is left out: "her dog" and "with her" would need different words.
NEUTRAL = {
    "man": "person",
    "men": "people",
    "woman": "person",
    "women": "people",
    "lady": "person",
    "ladies": "people",
    "gentleman": "person",
    "gentlemen": "people",
    "guy": "person",
    "guys": "people",
    "male": "person",
    "males": "people",
    "female": "person",
    "females": "people",
    "boy": "child",
    "boys": "children",
    "girl": "child",
    "girls": "children",
    "he": "they",
    "she": "they",
    "him": "them",
    "his": "their",
    "himself": "themself",
    "herself": "themself",
    "father": "parent",
    "fathers": "parents",
    "dad": "parent",
    "mother": "parent",
    "mothers": "parents",
    "mom": "parent",
    "mum": "parent",
    "son": "child",
    "sons": "children",
    "daughter": "child",
    "daughters": "children",
    "brother": "sibling",
    "brothers": "siblings",
    "sister": "sibling",
    "sisters": "siblings",
    "husband": "spouse",
    "wife": "spouse",
    "grandfather": "grandparent",
    "grandmother": "grandparent",
    "bride": "newlywed",
    "groom": "newlywed",
    "policeman": "police officer",
    "policemen": "police officers",
    "policewoman": "police officer",
    "fireman": "firefighter",
    "firemen": "firefighters",
    "fisherman": "fisher",
    "fishermen": "fishers",
    "businessman": "businessperson",
    "businessmen": "businesspeople",
    "businesswoman": "businessperson",
    "snowman": "snow figure",
    "cowboy": "rider",
    "cowgirl": "rider",
    "waitress": "server",
    "waiter": "server",
    "actress": "actor",
    "king": "monarch",
    "queen": "monarch",
}

# Words that say little about a picture.
FUNCTION_WORDS = frozenset(
    (*ENGLISH_ENDINGS, "it", "they", "them", "he", "she", "him", "not", "there", "another", "other")
)
