"""How a test sees what a user sees: the message on stderr and the exit status of a command."""

import pytest

from paddleseg.commands import process


def refusal(capsys, call):
    """Run `call()` as a command does; return its message, having seen exit status 2 and no traceback."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as exit_:
        process.run(call)
    message = capsys.readouterr().err
    assert exit_.value.code == 2
    assert message.startswith("error: ")
    assert "Traceback" not in message
    return message[len("error: ") :].rstrip("\n")


def refused(result, *told):
    """Assert exit status 2, each text in the message, and no traceback."""
    status, error = result
    assert status == 2, error
    for text in told:
        assert text in error
    assert "Traceback" not in error
