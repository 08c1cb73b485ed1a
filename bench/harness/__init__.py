"""What `bench/run` runs."""
