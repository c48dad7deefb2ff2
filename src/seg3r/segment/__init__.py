"""View -> Masks: which pixels of one view belong together."""
