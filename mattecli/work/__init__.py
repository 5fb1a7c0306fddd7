"""One photo from its files to its outcome: what predict, batch, evaluate and a server share."""
