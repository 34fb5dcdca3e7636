"""Trainings, read back from their folders, as one page to look at."""
