"""Straightforward PyTorch versions of the attention model and the transformer: the reference for training speed.

The attention model loops over time with nn.LSTMCell. Both models take captions padded to the longest of the batch, and
repeat the picture's regions for each caption.
"""

from __future__ import annotations

import torch
from torch import nn

LONGEST = 40  # longest caption in words


class Attention(nn.Module):
    """Show, Attend and Tell with soft attention (Xu et al. 2015), all widths equal."""

    def __init__(self, words: int, channels: int, width: int, dropout: float) -> None:
        super().__init__()
        self.keys = nn.Linear(channels, width)
        self.query = nn.Linear(width, width)
        self.score = nn.Linear(width, 1, bias=False)
        self.gate = nn.Linear(width, 1)
        self.first_h, self.first_c = nn.Linear(channels, width), nn.Linear(channels, width)
        self.embedding = nn.Embedding(words, width)
        self.cell = nn.LSTMCell(width + channels, width)
        self.output_words, self.context_words = nn.Linear(width, width), nn.Linear(channels, width)
        self.output = nn.Linear(width, words)
        self.dropout = nn.Dropout(dropout)

    def forward(self, regions: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """Return logits (captions, time, words): regions (captions, regions, channels), tokens (captions, time)."""
        regions = self.dropout(regions)
        keys, mean = self.keys(regions), regions.mean(dim=1)
        h, c = torch.tanh(self.first_h(mean)), torch.tanh(self.first_c(mean))
        embedded = self.dropout(self.embedding(tokens))
        outputs, contexts = [], []
        for t in range(tokens.shape[1]):
            scores = self.score(torch.tanh(keys + self.query(h)[:, None]))[..., 0]  # (captions, regions)
            attention = torch.softmax(scores, dim=-1)
            context = torch.bmm(attention[:, None], regions)[:, 0] * torch.sigmoid(self.gate(h))
            h, c = self.cell(torch.cat([embedded[:, t], context], dim=-1), (h, c))
            outputs.append(h)
            contexts.append(context)
        output, context = torch.stack(outputs, dim=1), torch.stack(contexts, dim=1)  # (captions, time, width)
        return self.output(embedded + self.output_words(output) + self.context_words(context))


class Transformer(nn.Module):
    """A pre-norm decoder with cross-attention to the regions (Vaswani et al. 2017); embedding and output are tied."""

    def __init__(
        self, words: int, channels: int, width: int, dropout: float, layers: int = 2, longest: int = 40
    ) -> None:
        super().__init__()
        self.picture = nn.Linear(channels, width)
        self.embedding = nn.Embedding(words, width)
        self.position = nn.Parameter(torch.zeros(LONGEST, width))
        layer = nn.TransformerDecoderLayer(width, 4, 4 * width, dropout, batch_first=True, norm_first=True)
        self.decoder = nn.TransformerDecoder(layer, 2, nn.LayerNorm(width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, regions: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """Return logits (captions, time, words): regions (captions, regions, channels), tokens (captions, time)."""
        time, width = tokens.shape[1], self.position.shape[1]
        words = self.dropout(self.embedding(tokens) * width**0.5) + self.position[:time]
        later = torch.full((time, time), float("-inf")).triu(1)
        return self.decoder(words, self.picture(regions), tgt_mask=later) @ self.embedding.weight.T


def train_step(
    model: nn.Module, optimizer: torch.optim.Optimizer, regions: torch.Tensor, captions: torch.Tensor
) -> None:
    """Take one step of the optimizer on whole captions (captions, time + 1), padded with 0."""
    optimizer.zero_grad(set_to_none=True)
    logits = model(regions, captions[:, :-1])
    loss = nn.functional.cross_entropy(logits.flatten(0, 1), captions[:, 1:].flatten(), ignore_index=0)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 5.0)
    optimizer.step()
