"""tools/report.py as a command."""

import subprocess
import sys


def test_a_folder_that_is_no_run_is_refused(repository, tmp_path):
    command = [
        sys.executable,
        str(repository / "tools/report.py"),
        str(tmp_path),
        "-o",
        str(tmp_path / "r.html"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {tmp_path} is no run: no run.yml there")
    assert not (tmp_path / "r.html").exists()
