"""Files, folders and memory of the machine."""
