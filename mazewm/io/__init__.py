"""Input and output: parameters, tables, vectors, weights, progress and errors. Independent of
mazes.
"""
