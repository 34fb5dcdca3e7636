"""How a command begins, and how an error ends its process.

Imports nothing heavy, so that `--help` answers at once.
"""

import os
import signal
import sys

from paddleseg import runtime
from paddleseg.errors import Stopped, UserError, one_line


def run(main):
    """Run `main()`; a mistake of the user's, or too little memory, becomes one message and exit status 2.

    What a signal has stopped exits with 143 (SIGTERM) or 130 (SIGINT).
    """
    try:
        main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        sys.exit(2)
    except MemoryError as error:
        remedy = "a smaller batch_size, crop or model needs less"
        print(f"error: out of memory ({one_line(error)[:300]}); {remedy}", file=sys.stderr, flush=True)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except Stopped as stop:
        sys.exit(128 + stop.signum)


def prepare():
    """Import Paddle as `runtime.prepare` does, and take SIGTERM from it, which would print a trace.

    Until a training asks for it, the signal ends the process, once what it has begun is cleaned up.
    """
    runtime.prepare()
    process = os.getpid()

    def stop(signum, frame):
        if os.getpid() != process:  # a data worker that has only just been forked
            return
        signal.signal(signum, signal.SIG_IGN)  # launchers send it several times
        raise Stopped(signum)

    signal.signal(signal.SIGTERM, stop)
