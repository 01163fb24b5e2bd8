"""Usage: compare.py FOLDER. Reads N.K.before and N.K.after with Python's email package and compares what they mean."""
import email
import email.header
import pathlib
import re
import sys


def decoded(value):
    """A header field's text: encoded words decoded, blanks and quotes made equal."""
    raw = str(value)
    octets = raw.encode("utf-8", "surrogateescape")
    try:
        raw = octets.decode("utf-8")
    except UnicodeDecodeError:
        raw = octets.decode("iso-8859-1")
    raw = re.sub(r"\r?\n([ \t])", r"\1", raw)
    if raw.isascii():
        text = ""
        for part, charset in email.header.decode_header(raw):
            text += part.decode(charset or "ascii") if isinstance(part, bytes) else part
        raw = text
    return re.sub(r'["\s]+', " ", raw).strip()


def leaves(message):
    result = []
    for part in message.walk():
        kind = part.get_content_type()
        if part.is_multipart():
            result.append((kind, None))
            continue
        content = part.get_payload(decode=True) or b""
        result.append((kind, content.replace(b"\r\n", b"\n")))
    return result


def fields(message):
    result = []
    for part in message.walk():
        for name, value in part.raw_items():
            if name.lower() in ("subject", "x-text", "from", "comments"):
                result.append((name, decoded(value)))
    return result


count = 0
failures = 0
folder = pathlib.Path(sys.argv[1])
for before in sorted(folder.glob("*.before")):
    after = before.with_suffix(".after")
    one = email.message_from_bytes(before.read_bytes())
    two = email.message_from_bytes(after.read_bytes())
    count += 1
    for what, left, right in (("content", leaves(one), leaves(two)), ("header", fields(one), fields(two))):
        if left != right:
            failures += 1
            for a, b in zip(left, right):
                if a != b:
                    print(f"{before.name}: {what}: {a!r}\n   became {b!r}")
                    break
            else:
                print(f"{before.name}: {what}: {len(left)} became {len(right)}")
print(f"compared {count} messages")
sys.exit(1 if failures or count == 0 else 0)
