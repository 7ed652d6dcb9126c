"""Room 5, SAEs: activations -> latents."""
