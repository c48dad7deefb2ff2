"""Tensors in, tensors out: networks and what stands around them. No files, no names of weights."""
