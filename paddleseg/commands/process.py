"""How a command begins, and how an error ends its process.

Imports nothing heavy, so that `--help` answers at once.
"""

import os
import select
import signal
import sys

from paddleseg.commands import runtime
from paddleseg.errors import Stopped, UserError, one_line


def run(main):
    """Run `main()`; a mistake of the user's, or too little memory, becomes one message and exit status 2.

    What a signal has stopped exits with 143 (SIGTERM) or 130 (SIGINT), and what prints where
    nobody reads any more, as with `| head`, with 141, a shell's status of SIGPIPE; log lines are dropped
    then, and what is being done goes on.
    """
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # of names of files that are no UTF-8
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
    except BrokenPipeError:
        if not _unread():  # another pipe, as that of a worker
            raise
        sys.exit(141)
    finally:
        if _unread():  # or Python would tell of what is left as it exits
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _unread():
    """Tell whether stdout is a pipe that nobody reads any more."""
    try:
        sys.stdout.flush()
        end = select.poll()
        end.register(sys.stdout.fileno(), 0)  # of what is told whatever is asked for
        return any(event & select.POLLERR for _, event in end.poll(0))
    except BrokenPipeError:
        return True
    except (AttributeError, OSError, ValueError):  # Windows has no such call; a stream need be no file
        return False


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
