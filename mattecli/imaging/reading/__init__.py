"""Files to arrays: formats, headers, budgets, decoders."""
