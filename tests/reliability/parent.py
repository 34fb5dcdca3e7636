"""Starts a command and waits for it, as a launcher does; says its id first."""

import subprocess
import sys

process = subprocess.Popen(sys.argv[1:])
print(f"child {process.pid}", flush=True)
process.wait()
