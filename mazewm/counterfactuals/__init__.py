"""Counterfactual mazes: connections added, removed, moved or swapped, and forks where the path
could turn another way.
"""
