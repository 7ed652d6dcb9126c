"""Parameters and a seed -> batches of mazes, their shortest paths and their truths.
No torch.
"""
