"""RNN, LSTM and GRU captioning in plain NumPy, forward and backward written out. Imports nothing of ours.

Shapes use N pictures, T time steps, D numbers a word vector, H numbers a hidden state, V words, F numbers a picture.
"""
