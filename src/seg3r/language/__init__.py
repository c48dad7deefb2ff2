"""Models that read and speak: a chat with pictures, here or behind an endpoint; images and texts in one space."""
