"""Text for people: what may be shown, how, and with what taken out."""
