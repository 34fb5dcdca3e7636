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
    """Run `main()` and turn its errors into exit statuses.

    A `UserError`, or too little memory, becomes one message and status 2. A stop by SIGTERM exits with 143,
    by SIGINT with 130, by SIGHUP with 129. Where the reader of the output has gone, as with `| head`, log
    lines are dropped and the command continues; if it prints more, it exits with 141, a shell's status of
    SIGPIPE.
    """
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # file names may not be UTF-8
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
        if not _reader_has_gone():  # it was another pipe, such as a worker's
            raise
        sys.exit(141)
    finally:
        if _reader_has_gone():  # Python would complain about the rest of the output as it exits
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _reader_has_gone():
    """Return whether stdout is a pipe whose reader has gone."""
    try:
        sys.stdout.flush()
        end = select.poll()
        end.register(sys.stdout.fileno(), 0)  # POLLERR is reported without being requested
        return any(event & select.POLLERR for _, event in end.poll(0))
    except BrokenPipeError:
        return True
    except (AttributeError, OSError, ValueError):  # Windows has no poll(), and stdout may not be a file
        return False


def prepare():
    """Import Paddle as `runtime.prepare` does, and replace Paddle's handler of SIGTERM, which prints a trace.

    SIGTERM and SIGHUP end the process after its clean-up. A training has a handler of its own.
    """
    runtime.prepare()
    from paddleseg.parallel.signals import stop_signals

    process = os.getpid()

    def stop(signum, frame):
        if os.getpid() != process:  # a data worker that was just forked
            return
        signal.signal(signum, signal.SIG_IGN)  # launchers send the signal several times
        raise Stopped(signum)

    for signum in stop_signals():
        if signum != signal.SIGINT:  # Python turns it into KeyboardInterrupt
            signal.signal(signum, stop)
