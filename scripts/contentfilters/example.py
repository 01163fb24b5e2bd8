#!/usr/bin/env python3
"""Content filter to begin with, in Python: refuses an attachment's name, holds a subject, marks the rest.

`PARAM contentfilter /usr/local/libexec/zmailer/contentfilters/example.py`, after you have changed the rules to yours. Of a
message it reads the first megabyte at most.
"""
import email.parser
import email.policy
import sys


def check(path):
    """The lines of the answer: edits, then one that begins with a number (below 0 refuse, 0 accept, above 0 freeze)."""
    with open(path, "rb") as file:
        envelope = []
        for line in iter(lambda: file.readline(65536), b""):
            if line == b"env-end\n":
                break
            envelope.append(line)
        start = file.read(1 << 20)
    message = email.parser.BytesParser(policy=email.policy.compat32).parsebytes(start)
    if any((part.get_filename() or "").lower().endswith(".exe") for part in message.walk()):
        return ["-1 550 5.7.1 programs are not taken here"]
    if "make money fast" in str(message["Subject"]).lower():
        return ["1 250 2.7.1 held until somebody has looked at it"]
    recipients = sum(line.startswith(b"to ") for line in envelope)
    return [f"+header X-Filtered: example.py, {recipients} recipients", "0 250 2.6.0 fine"]


while print("#hungry", flush=True) is None and (line := sys.stdin.buffer.readline()):
    try:
        answer = check(line.rstrip(b"\n"))
    except (RecursionError, ValueError, LookupError) as error:  # parts within parts within parts, and the like
        answer = [f"# {type(error).__name__}", "1 250 2.7.1 held, its structure cannot be read"]
    print(*answer, sep="\n", flush=True)
