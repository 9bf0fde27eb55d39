"""Data augmentation: a batch of rows or of images (m, c, h, w) in, another one out. What is random comes in as draws."""
