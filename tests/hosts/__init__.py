"""Released applications that others made, as their users install them: what the doctor says of those."""
