"""What a training shows while it runs: bars, log lines, VisualDL curves and its history."""
