"""Room 3, model: tokens -> logits, under taps."""
