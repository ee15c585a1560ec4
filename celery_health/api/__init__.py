"""The HTTP surface: one small module per resource. Importing this package alone imports no DRF."""
