"""mazewm: how small transformers that solve mazes represent the maze, and whether they use that representation."""
