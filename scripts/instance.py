"""A whole instance of real processes for the scripts beside this one, and what became of the messages in it."""
import collections, os, re, signal, socket, subprocess, tempfile, threading, time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DOMAIN = "example.test"
REMOTE = "remote.test"
now = time.monotonic


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Instance:
    """A running instance in a new temporary folder; `prepare` is called with it before its tables are built and it starts."""

    def __init__(self, layout, prepare):
        self.layout = layout
        self.directory = tempfile.mkdtemp(prefix="zc", dir="/tmp")
        self.port = free_port()
        zmailer = layout + "/bin/zmailer"
        subprocess.run([zmailer, "init", "--port", str(self.port), "--domain", DOMAIN, self.directory], check=True,
                       stdout=subprocess.DEVNULL)
        self.conf = self.directory + "/zmailer.conf"
        with open(self.conf, "a") as f:
            f.write("RESTARTLIMIT=1\n")
        prepare(self)
        subprocess.run([zmailer, "newdb", "-s", "-Z", self.conf], check=True)
        self.process = subprocess.Popen([zmailer, "start", "--foreground", "-Z", self.conf], stdout=subprocess.DEVNULL,
                                        stderr=open(self.directory + "/supervisor.log", "wb"), start_new_session=True)
        self.wait_for_greeting()

    def wait_for_greeting(self, seconds=30):
        end = now() + seconds
        while now() < end:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 2) as s:
                    s.settimeout(2)
                    if s.recv(3) == b"220":
                        return
            except OSError:
                pass
            time.sleep(0.05)
        raise SystemExit("no greeting within %d s; see %s" % (seconds, self.directory))

    def processes(self):
        """Program name → pids, of everything below the supervisor."""
        children, names = collections.defaultdict(list), {}
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    stat = open("/proc/%s/stat" % entry).read()
                    arguments = open("/proc/%s/cmdline" % entry).read().split("\0")
                except OSError:
                    continue
                children[int(stat[stat.rindex(")") + 2:].split()[1])].append(int(entry))
                role = next((a for a in arguments if a in ("--worker", "--policy")), "")
                names[int(entry)] = os.path.basename(arguments[0]) + role
        found, todo = collections.defaultdict(list), list(children[self.process.pid])
        while todo:
            pid = todo.pop()
            found[names[pid]].append(pid)
            todo += children[pid]
        return found

    def wait_for_processes(self, seconds=60):
        """All three daemons: a round that finds nothing to kill proves nothing."""
        end = now() + seconds
        while now() < end:
            found = self.processes()
            if {"router", "scheduler", "smtpserver", "smtpserver--worker"} <= set(found):
                return found
            time.sleep(0.05)
        raise SystemExit("the daemons were not restarted within %d s; see %s" % (seconds, self.directory))

    def undone(self):
        ids = set()
        for name in ("router", "queue", "deferred", "transport"):
            ids |= set(os.listdir("%s/postoffice/%s" % (self.directory, name)))
        return ids

    def stop(self):
        pids = [p for group in self.processes().values() for p in group]
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass


def maildir_ids(directory):
    found = collections.defaultdict(list)
    for folder in ("new", "cur"):
        path = "%s/mail/alice/%s" % (directory, folder)
        for name in os.listdir(path) if os.path.isdir(path) else []:
            text = open(path + "/" + name, "rb").read(8192)
            match = re.search(rb"^X-Chaos-Id: (\S+)", text, re.M)
            found[match.group(1).decode() if match else "?" + name].append(name)
    return found


class Sink(threading.Thread):
    """The next hop: takes everything and remembers when it answered 250 for which message."""

    def __init__(self):
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.port = self.listener.getsockname()[1]
        self.arrivals = collections.defaultdict(list)
        self.lock = threading.Lock()

    def run(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        try:
            with client, client.makefile("rb") as lines:
                client.sendall(b"220 sink ESMTP\r\n")
                for line in lines:
                    verb = line[:4].upper()
                    if verb == b"EHLO":
                        client.sendall(b"250-sink\r\n250-PIPELINING\r\n250 8BITMIME\r\n")
                    elif verb == b"DATA":
                        client.sendall(b"354 go\r\n")
                        body = []
                        while True:
                            part = lines.readline()
                            if not part:
                                return
                            if part == b".\r\n":
                                break
                            body.append(part)
                        found = re.search(rb"^X-Chaos-Id: (\S+)", b"".join(body), re.M)
                        with self.lock:
                            self.arrivals[found.group(1).decode() if found else "?"].append(now())
                        client.sendall(b"250 ok\r\n")
                    elif verb == b"QUIT":
                        client.sendall(b"221 bye\r\n")
                        return
                    else:
                        client.sendall(b"250 ok\r\n")
        except OSError:
            return


def route_to(instance, sink_port):
    """Mail for REMOTE goes to that port, and what fails is tried again every two seconds."""
    tables = instance.directory + "/var/db/"
    with open(tables + "smtp-policy.mx", "a") as f:
        f.write(REMOTE + "\n")
    with open(tables + "routes", "a") as f:
        f.write("%s smtpx![127.0.0.1]:%d\n" % (REMOTE, sink_port))
    scheduler = instance.directory + "/share/scheduler.conf"
    text = open(scheduler).read()
    text = re.sub(r"interval=\S+", "interval=2s", text)
    text = re.sub(r'retries="[^"]*"', 'retries="1"', text)
    open(scheduler, "w").write(text)
