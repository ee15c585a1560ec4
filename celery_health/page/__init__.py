"""The status page: the verdict and what led to it, for people, in a browser."""
