"""The doctor: rules that find what would fail silently, each with its proof and its fix."""
