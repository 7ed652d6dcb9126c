"""Room 8, interventions: feature map -> predicted and measured effects of editing single connections."""
