"""Predicted instances and ground truth on the same vertices -> numbers."""
