"""Checks delivery status notifications with Python's email package: structure, no defects, the fields of RFC 3464.

Arguments are files; one line for each mistake; exit code 1 if there is one.
"""
import email.policy
import sys
from email.parser import BytesParser

ACTIONS = {"failed": "45", "delayed": "4", "delivered": "2", "relayed": "2", "expanded": "2"}


def blocks(part, content):
    """The groups of fields of a delivery-status part."""
    if part.get_content_type() == "message/delivery-status":
        return [dict_of(block) for block in part.get_payload() if len(block.keys())]
    # Python knows global-delivery-status only as some message: its fields are read here.
    text = content.decode("utf-8")
    start = text.index("Reporting-MTA:")
    groups, fields = [], {}
    for line in text[start:].split("\r\n"):
        if line.startswith("--"):
            break
        if line.startswith(" "):
            fields[last] += line
        elif line:
            last, _, value = line.partition(": ")
            if last in fields:
                raise ValueError("twice: " + last)
            fields[last] = value
        elif fields:
            groups.append(fields)
            fields = {}
    return groups + ([fields] if fields else [])


def dict_of(block):
    if len(set(k.lower() for k in block.keys())) != len(block.keys()):
        raise ValueError("a field is there twice: %s" % block.keys())
    # As they are: what looks like an encoded-word is none here.
    return {k: str(v) for k, v in block.raw_items()}


def check(path):
    with open(path, "rb") as file:
        content = file.read()
    message = BytesParser(policy=email.policy.default).parsebytes(content)
    mistakes = []

    def expect(condition, text):
        if not condition:
            mistakes.append("%s: %s" % (path, text))

    expect(b"\n" not in content.replace(b"\r\n", b""), "a bare LF")
    expect(message.get_content_type() == "multipart/report", "is no multipart/report")
    is_global = message.get_param("report-type") == "global-delivery-status"
    expect(is_global or message.get_param("report-type") == "delivery-status", "report-type")
    expect(not message.defects, "defects: %s" % message.defects)
    head = content.split(b"\r\n\r\n", 1)[0]
    expect(is_global or all(octet < 128 for octet in head), "a header beyond ASCII")
    expect(all(len(line) <= 998 for line in head.split(b"\r\n")), "a long line")
    for name in ["From", "To", "Subject", "Date", "Message-Id", "MIME-Version", "Auto-Submitted"]:
        expect(len(message.get_all(name, [])) == 1, "not one %s" % name)
    for name in ["Bcc", "Cc", "X-Injected"]:
        expect(name not in message, "%s is there" % name)
    if not is_global:
        for name in ["From", "To", "Subject", "Date", "Message-Id"]:
            value = message[name]
            expect(value is not None and not value.defects, "%s: %s" % (name, value and value.defects))
    parts = message.get_payload()
    if not isinstance(parts, list) or len(parts) != 3:
        mistakes.append("%s: has %s parts" % (path, len(parts) if isinstance(parts, list) else "no"))
        return mistakes
    text, status, original = parts
    expect(text.get_content_type() == "text/plain", "the first part is %s" % text.get_content_type())
    expect(text["Content-Language"] is not None, "no Content-Language")
    for part in [text, status]:
        expect(not part.defects, "defects of %s: %s" % (part.get_content_type(), part.defects))
    shown = text.get_content()
    expect(len(shown) > 20, "no text")
    expect(not [c for c in shown if (ord(c) < 32 and c not in "\r\n") or 127 <= ord(c) < 160], "controls in the text")
    expect(all(len(line.encode()) <= 998 for line in shown.split("\n")), "a long line of text")
    kind = "message/global-delivery-status" if is_global else "message/delivery-status"
    expect(status.get_content_type() == kind, "the second part is %s" % status.get_content_type())
    valid = {"message/rfc822", "text/rfc822-headers", "message/global", "message/global-headers"}
    expect(original.get_content_type() in valid, "the third part is %s" % original.get_content_type())
    try:
        groups = blocks(status, content)
    except ValueError as error:
        return mistakes + ["%s: %s" % (path, error)]
    expect(len(groups) >= 2, "%d groups of fields" % len(groups))
    expect(groups and groups[0].get("Reporting-MTA", "").startswith("dns; "), "Reporting-MTA")
    known = {
        "Original-Envelope-Id", "Reporting-MTA", "DSN-Gateway", "Received-From-MTA", "Arrival-Date", "Deliver-By-Date",
        "Future-Release-Request",
    }
    expect(groups and set(groups[0]) <= known, "fields of the message: %s" % (groups and list(groups[0])))
    known = {
        "Original-Recipient", "Final-Recipient", "Action", "Status", "Remote-MTA", "Diagnostic-Code",
        "Last-Attempt-Date", "Final-Log-ID", "Will-Retry-Until",
    }
    for fields in groups[1:]:
        expect(set(fields) <= known, "fields of a recipient: %s" % list(fields))
        expect(";" in fields.get("Final-Recipient", ""), "Final-Recipient: %s" % fields.get("Final-Recipient"))
        action = fields.get("Action", "")
        expect(action in ACTIONS, "Action: %s" % action)
        expect(fields.get("Status", "?")[:1] in ACTIONS.get(action, ""), "Status: %s" % fields.get("Status"))
        for name in ["Original-Recipient", "Remote-MTA", "Diagnostic-Code"]:
            expect(name not in fields or ";" in fields[name], "%s has no type" % name)
        expect(("Will-Retry-Until" not in fields) or action == "delayed", "Will-Retry-Until of what is not delayed")
        if not is_global:
            expect(all(ord(c) < 128 for v in fields.values() for c in v), "a field beyond ASCII")
    return mistakes


if __name__ == "__main__":
    found = [mistake for path in sys.argv[1:] for mistake in check(path)]
    print("\n".join(found))
    sys.exit(1 if found else 0)
