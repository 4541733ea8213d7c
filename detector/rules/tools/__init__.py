"""What is done with rules beside running them: inline tests, mutation, diff, cost."""
