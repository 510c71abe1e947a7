"""Text: cleaning rules, the PTB tokenizer and the vocabulary."""
