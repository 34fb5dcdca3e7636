"""Write a text file so that no reader sees half of it."""

import os
import threading


def replace_file(path, text):
    """Write a text file at once: readers, and a process that is stopped, see the old file or the new one.

    Raises:
        OSError: the file cannot be written.
    """
    # Threads may write the same file. After a kill, the same thread of the next run writes over what is left.
    part = f"{path}.{threading.current_thread().name}.part"
    with open(part, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(part, path)
