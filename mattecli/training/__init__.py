"""Training the network: foregrounds, scenes and the loop."""
