"""One bounded connection to a Redis, one to a broker by kombu: what all reading and writing goes through."""
