"""Small helpers that know nothing of the other rooms."""
