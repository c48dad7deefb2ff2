"""View, Masks -> Masks: a descriptor of each mask, and whom the reconstructor remembers in it."""
