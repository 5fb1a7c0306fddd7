"""Scores of mattes against true alphas."""
