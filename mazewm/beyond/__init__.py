"""Room 8b, beyond the input: mazes and a model -> which facts that no single token states it represents, and whether it uses them."""
