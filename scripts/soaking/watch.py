"""What a run leaves on the machine: processes, sockets, files, memory."""
import json, os, select, signal, threading, time

MARK = "MIGTAX_SOAK_RUN"
# Where folders with keys are made.
PRIVATE = "/dev/shm"


def read(path):
    try:
        with open(path, "rb") as f:
            return f.read()
    except OSError:
        return b""


def marked(mark):
    """Processes that were started, directly or not, with this mark in their environment."""
    needle = f"{MARK}={mark}".encode()
    return [int(name) for name in os.listdir("/proc")
            if name.isdigit() and needle in read(f"/proc/{name}/environ").split(b"\0")]


def role(pid):
    """source or destination, or nothing; capabilities processes are no hosts of a migration."""
    words = read(f"/proc/{pid}/cmdline").split(b"\0")
    if b"host" in words:
        for name in ("source", "destination"):
            if name.encode() in words:
                return name
    return ""


def host(mark, name):
    """The process that plays a role in this run now; None if none does."""
    return next((pid for pid in marked(mark) if role(pid) == name), None)


def send(pid, number):
    try:
        os.kill(pid, number)
        return True
    except ProcessLookupError:
        return False


def wait_for(pid, seconds):
    """Whether a process ended within so many seconds."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], max(0.0, seconds))[0])
    finally:
        os.close(descriptor)


def left_behind(mark, seconds):
    """Processes of this run that don't end by themselves within so many seconds; they are ended."""
    deadline = time.monotonic() + seconds
    left = []
    for pid in marked(mark):
        text = read(f"/proc/{pid}/cmdline").replace(b"\0", b" ").decode(errors="replace")
        if not wait_for(pid, deadline - time.monotonic()):
            left.append(f"{pid} {text}")
            send(pid, signal.SIGKILL)
    return left


def tunnels_left_behind(seconds, killed):
    """Processes of tunnels and folders with keys that don't go within so many seconds. The processes have no mark:
    they are known by the folder, which whoever else migrates on this machine has too, but not for long. A
    coordinator that is killed before its hosts know of a folder leaves it."""
    deadline = time.monotonic() + seconds
    while True:
        left = [f"{name} {text}" for name, text in
                ((name, read(f"/proc/{name}/cmdline").replace(b"\0", b" ").decode(errors="replace"))
                 for name in os.listdir("/proc") if name.isdigit()) if f"{PRIVATE}/migtax-" in text]
        left += [] if killed else [name for name in os.listdir(PRIVATE) if name.startswith("migtax-")]
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.05)


def is_listening(port):
    wanted = f":{port:04X}"
    for path in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in read(path).decode().splitlines()[1:]:
            fields = line.split()
            if fields[1].endswith(wanted) and fields[3] == "0A":
                return True
    return False


def available_mib():
    for line in read("/proc/meminfo").decode().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) >> 10
    return 0


def own_memory_mib():
    return int(read("/proc/self/statm").split()[1]) * os.sysconf("SC_PAGESIZE") >> 20


def census():
    """What should be the same before and after."""
    own = f"{MARK}={os.getpid()}-".encode()
    return {"own processes": sum(1 for p in os.listdir("/proc") if p.isdigit() and own in read(f"/proc/{p}/environ")),
            "own descriptors": len(os.listdir("/proc/self/fd")),
            "own memory, MiB": own_memory_mib(),
            "MemAvailable, MiB": available_mib(),
            "descriptors of the machine": int(read("/proc/sys/fs/file-nr").split()[0]),
            "files in /dev/shm": len(os.listdir("/dev/shm")),
            "entries in the temporary folder": len(os.listdir(os.environ.get("TMPDIR", "/tmp")))}


class Reader(threading.Thread):
    """Reads results.json again and again while a run writes it: it is valid JSON whenever it is there."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.path, self.problem, self.seen, self.most = path, None, 0, 0
        self.end = threading.Event()

    def run(self):
        stamp = None
        while not self.end.wait(0.01):
            try:
                status = os.stat(self.path)
            except OSError:
                continue
            if (status.st_ino, status.st_mtime_ns) != stamp:
                stamp = (status.st_ino, status.st_mtime_ns)
                self.look()

    def look(self):
        text = read(self.path)
        try:
            count = len(json.loads(text)["migrations"])
        except (ValueError, KeyError) as error:
            self.problem = f"results.json, read while the run was going on: {error}"
            return
        self.seen += 1
        if count < self.most:
            self.problem = f"results.json held {self.most} migrations and then {count}"
        self.most = max(self.most, count)
