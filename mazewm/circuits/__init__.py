"""Room 7, circuits: model + SAE + feature map -> which heads bind cells into connections, what they write, and what ablating them does."""
