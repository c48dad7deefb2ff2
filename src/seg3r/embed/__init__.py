"""View, Masks -> Masks: how each mask looks, or whom the reconstructor remembers in it."""
