"""RNN, LSTM and GRU captioning in plain NumPy, forward and backward. Imports nothing else from the package.

In shapes, N is pictures, T time steps, D the size of word vectors, H of hidden states, V words, F the size of features.
"""
