"""What the benchmarks beside this file share: a fresh disk, a cgroup, a server under test (peer.sh, peer-postfix.sh), a sink, a load."""
import contextlib, os, re, signal, socket, subprocess, tempfile, threading, time

HERE = os.path.dirname(os.path.abspath(__file__))
PEERS = {"zmailer": os.path.join(HERE, "peer.sh"), "postfix": os.path.join(HERE, "peer-postfix.sh")}
PREFIX = os.path.join(os.environ.get("ZMAILER_PEERS") or os.path.join(
    os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "zmailer-peers"), "postfix")
MESSAGE_OCTETS = 4096
DEADLINE = 240
KEYS = {"ec": ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"], "rsa": ["rsa:2048"]}


def tool_environment():
    return dict(os.environ, LD_LIBRARY_PATH=PREFIX + "/usr/lib/postfix")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_until(what, test, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = test()
        if value:
            return value
        time.sleep(0.02)
    raise SystemExit("gave up after %d s waiting until %s" % (seconds, what))


def answers(port, address="127.0.0.1"):
    try:
        with socket.create_connection((address, port), 1) as s:
            s.settimeout(2)
            return s.recv(4).startswith(b"220")
    except OSError:
        return False


def listens(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


class Disk:
    """A fresh ext4 with a journal, mounted from a sparse image."""

    def __init__(self, octets=8 << 30):
        self.octets = octets

    def __enter__(self):
        self.image = tempfile.mktemp(prefix="zmailer-bench-", suffix=".img", dir="/var/tmp")
        # Short: Unix socket paths are limited.
        self.path = tempfile.mkdtemp(prefix="zb", dir="/var/tmp")
        with open(self.image, "wb") as f:
            f.truncate(self.octets)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", self.image], check=True)
        subprocess.run(["mount", "-o", "loop,relatime", self.image, self.path], check=True)
        os.chmod(self.path, 0o755)
        return self.path

    def __exit__(self, *_):
        for _ in range(50):
            if subprocess.run(["umount", self.path], stderr=subprocess.DEVNULL).returncode == 0:
                break
            time.sleep(0.2)
        else:
            subprocess.run(["umount", "-l", self.path])
        with contextlib.suppress(OSError):
            os.rmdir(self.path)
        os.unlink(self.image)


class Group:
    """A cgroup of its own: CPU of every process that ever was in it, memory of those that are."""

    def __init__(self, name):
        mount = next(l.split()[1] for l in open("/proc/mounts") if l.split()[2] == "cgroup2")
        self.path = "%s/zmailer-bench-%d-%s" % (mount, os.getpid(), name)
        os.mkdir(self.path)

    def enter(self):
        with open(self.path + "/cgroup.procs", "w") as f:
            f.write(str(os.getpid()))

    def pids(self):
        return [int(p) for p in open(self.path + "/cgroup.procs").read().split()]

    def cpu(self):
        return dict(l.split() for l in open(self.path + "/cpu.stat"))

    def pss(self):
        total = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                m = re.search(r"^Pss:\s+(\d+)", open("/proc/%d/smaps_rollup" % pid).read(), re.M)
                total += int(m.group(1)) if m else 0
        return total

    def close(self):
        for sig in (signal.SIGTERM, signal.SIGKILL):
            for pid in self.pids():
                with contextlib.suppress(OSError):
                    os.kill(pid, sig)
            end = time.monotonic() + 10
            while self.pids() and time.monotonic() < end:
                time.sleep(0.05)
        os.rmdir(self.path)


class TLS:
    """A port for TLS from the first octet, a key and a certificate for it."""

    def __init__(self, disk, key="ec"):
        self.port = free_port()
        self.certificate, self.key = disk + "/cert.pem", disk + "/key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", *KEYS[key], "-nodes", "-subj", "/CN=mx.bench.test",
                        "-addext", "subjectAltName=DNS:mx.bench.test", "-days", "30", "-keyout", self.key,
                        "-out", self.certificate], check=True, stderr=subprocess.DEVNULL)

    def environment(self):
        return {"BENCH_TLS_PORT": str(self.port), "BENCH_TLS_CERT": self.certificate, "BENCH_TLS_KEY": self.key}


class Peer:
    def __init__(self, name, disk, port, sink_port, sessions, tls=None):
        self.name, self.script = name, PEERS[name]
        self.environment = dict(os.environ, BENCH_PORT=str(port), BENCH_SINK_PORT=str(sink_port),
                                BENCH_SPOOL=disk + "/s", BENCH_MAXCONN=str(sessions + 20))
        for word in "BENCH_TLS_PORT", "BENCH_TLS_CERT", "BENCH_TLS_KEY", "BENCH_FILTER":
            self.environment.pop(word, None)
        self.environment.update(tls.environment() if tls else {})
        self.port, self.tls = port, tls
        self.group = Group(name)

    def call(self, word, **options):
        return subprocess.run([self.script, word], env=self.environment, check=True, **options)

    def start(self):
        self.call("prepare", stdout=subprocess.DEVNULL)
        self.call("start", preexec_fn=self.group.enter)
        wait_until("%s greets" % self.name, lambda: answers(self.port))
        if self.tls:
            wait_until("%s listens for TLS" % self.name, lambda: listens(self.tls.port))

    def stop(self):
        with contextlib.suppress(subprocess.CalledProcessError):
            self.call("stop", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.group.close()


class Sink:
    def __init__(self, port, sessions, address="127.0.0.1"):
        self.count = 0
        self.process = subprocess.Popen(
            [PREFIX + "/usr/sbin/smtp-sink", "-c", "-u", "nobody", "%s:%d" % (address, port), str(sessions + 200)],
            env=tool_environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        wait_until("the sink listens", lambda: answers(port, address))

    def read(self):
        pending = b""
        while True:
            piece = os.read(self.process.stdout.fileno(), 65536)
            if not piece:
                return
            pending += piece
            numbers = re.findall(rb"(\d+)\r", pending)
            if numbers:
                self.count = int(numbers[-1])
                pending = pending[pending.rindex(b"\r") + 1:]

    def stop(self):
        self.process.kill()
        self.process.wait()


def source(port, sessions, messages, domain="relay.test", octets=MESSAGE_OCTETS):
    return [PREFIX + "/usr/sbin/smtp-source", "-s", str(sessions), "-m", str(messages), "-l", str(octets), "-d",
            "-f", "a@sender.test", "-t", "b@" + domain, "127.0.0.1:%d" % port]
