"""What runs inside beat, stand-alone or embedded in a worker, and nowhere else."""
