"""Files and words: parameters, tables, weights, progress and errors. Knows nothing of mazes."""
