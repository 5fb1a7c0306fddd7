"""Training samples: drawn as plain numbers, then rendered."""
