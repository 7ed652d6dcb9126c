"""The maze as it would be: connections added, removed, moved and swapped, and the other way at a
fork.
"""
