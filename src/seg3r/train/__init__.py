"""Learning on rooms: what the bundled weights are made from, and the loops that make them."""
