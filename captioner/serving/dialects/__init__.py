"""What programs that exist already say to their servers, answered with captions and nothing else."""
