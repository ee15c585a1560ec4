"""What runs inside the Celery worker's main process, and nowhere else."""
