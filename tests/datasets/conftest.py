import os
import subprocess
import sys

import pytest
import tiny


@pytest.fixture
def run_python():
    """Run Python with some arguments, `tests` among its places of imports; returns the ended process."""

    def run(*arguments, timeout=100, **options):
        path = os.pathsep.join([os.environ.get("PYTHONPATH", ""), os.path.dirname(tiny.__file__)])
        return subprocess.run(
            [sys.executable, "-W", "ignore", *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
            **options,
        )

    return run
