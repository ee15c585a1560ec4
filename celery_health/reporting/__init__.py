"""What workers, beats and producers share: how a process counts, and tells the store what it is doing."""
