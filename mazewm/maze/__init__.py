"""Mazes: the lattice, shortest paths, symmetries, and the encoding of mazes as tokens, all without
torch.
"""
