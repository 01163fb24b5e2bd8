/// A content filter that does what a message tells it to, for tests of the interface.
///
/// The field `X-Do` of the message holds lines to say, separated by `|`, with `\r` for CR; lines that begin with `!` are done:
/// `!exit`, `!hang`, `!stop` (SIGSTOP), `!long` (a line of 1 MB), `!flood` (without end), `!sleep s`, `!mute` (no result), `!file` (the
/// message's own lines are checked). Without the field: `0`.
enum TestFilter {
    static let script = #"""
        #!/usr/bin/env python3
        import os, signal, sys, time
        out = sys.stdout
        def say(line):
            out.write(line + "\n")
            out.flush()
        for name in sys.argv[1:] or [""]:
            pass
        while True:
            say("#hungry")
            path = sys.stdin.readline()
            if not path:
                sys.exit(0)
            orders = ["0"]
            with open(path.rstrip("\n"), "rb") as file:
                inside = False
                for line in file:
                    if inside and line in (b"\r\n", b"\n"):
                        break
                    if line == b"env-end\n":
                        inside = True
                    if inside and line.lower().startswith(b"x-do:"):
                        orders = line[5:].decode("latin-1").strip().split("|")
            for order in orders:
                order = order.replace("\\r", "\r")
                if order == "!exit":
                    os._exit(1)
                elif order == "!hang":
                    signal.pause()
                elif order == "!stop":
                    os.kill(os.getpid(), signal.SIGSTOP)
                elif order == "!long":
                    say("x" * 1000000)
                elif order == "!flood":
                    while True:
                        say("# " + "x" * 1000)
                elif order.startswith("!sleep"):
                    time.sleep(float(order[6:]))
                elif order == "!mute":
                    pass
                elif order == "!close":
                    os.close(1)
                    signal.pause()
                elif order == "!kill":
                    os.kill(os.getpid(), signal.SIGKILL)
                else:
                    say(order)

        """#
}
