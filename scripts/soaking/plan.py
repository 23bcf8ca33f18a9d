"""What one run of the soak test does, from the seed, the run's index and the build's arms alone."""
import dataclasses, random

MIB, KIB = 1 << 20, 1 << 10
RELAYED = ["reset", "stall", "half-close", "slow reader", "stream death", "idle stream death", "flipped bit", "truncate",
           "duplicate"]
KILLED = ["kill source", "kill destination", "kill coordinator", "interrupt", "terminate"]
ELSEWHERE = ["memory limit", "read-only folder", "full disk", "port taken"]
FAULTS = RELAYED + KILLED + ELSEWHERE


# Faults that take a relay, or a destination that is told where to be.
ROUTED = RELAYED + ["memory limit", "port taken"]


def has_own_route(arm):
    """Whether an arm's streams run over sockets that no address can be given for: tunnels', QEMU's."""
    return arm["library"] in ("openssh", "stunnel") or arm["name"].startswith("qemu-")


@dataclasses.dataclass
class Fault:
    """One fault. Relayed ones strike at a byte, the others when `when` says."""
    kind: str
    migration: int = 0
    direction: str = ""
    stream: int = 0
    where: str = "offset"
    offset: int = 0
    bit: int = 0
    length: int = 0
    seconds: float = 0.0
    pause: float = 0.0
    when: str = ""
    after: float = 0.0


@dataclasses.dataclass
class Plan:
    """A scenario as text, how to run it, and what goes wrong."""
    toml: str
    arms: list
    memory: int
    streams: int
    device_state: int
    peer_timeout_s: float
    clock: str
    relayed: bool
    own_route: bool
    fault: object


def arrival(r):
    return r.choice(['{ model = "constant" }', '{ model = "poisson" }',
                     '{ model = "on-off", duty = %.2f, period = "%dms" }' % (r.uniform(0.1, 0.9), r.randint(20, 500)),
                     '{ model = "mmpp", duty = %.2f, period = "%dms" }' % (r.uniform(0.2, 0.8), r.randint(20, 500)),
                     '{ model = "b-model", b = %.2f }' % r.uniform(0.55, 0.8)])


def placement(r):
    share = "working_set = %.2f" % r.uniform(0.05, 1.0)
    return r.choice(["{ model = \"uniform\", %s }" % share, "{ model = \"zipf\", exponent = 0.99, %s }" % share,
                     "{ model = \"hot-cold\", %s }" % share, "{ model = \"sweep\", %s }" % share,
                     "{ model = \"moving-hot-set\", every = \"%dms\", %s }" % (r.randint(50, 1000), share)])


def relayed(r, kind, migrations, content, streams, timeout):
    fault = Fault(kind, migration=r.randrange(migrations), bit=r.randrange(8), length=r.randint(8, 4096))
    fault.direction = r.choices(["to destination", "to source"], [3, 1])[0]
    fault.stream = r.randrange(streams)
    if kind.endswith("stream death"):
        fault.stream = r.randrange(1, streams)
    elif r.random() < 0.4:
        # The final record and the switchover's acknowledgement, which random bytes hardly ever hit.
        fault.stream, fault.where = 0, r.choice(["final", "ack"])
        fault.direction = "to destination" if fault.where == "final" else "to source"
    if fault.direction == "to destination":
        # A part of the first bytes (preamble, hello), most within the guest, some in later rounds.
        fault.offset = r.choice([r.randrange(200), r.randrange(content // streams), r.randrange(content * 3 // 2)])
    else:
        fault.offset = r.randrange(240)
    # A stream that is done with its round waits for the others no longer than a silent peer.
    fault.seconds = r.uniform(0.1, 2.0 if streams == 1 else 0.5) * timeout
    fault.pause = r.uniform(0.001, 0.05)
    return fault


def plan(seed, index, arms, allowed):
    """The plan of run `index`; `arms` are those of `migtax list arms --json`, `allowed` the faults that this machine can make."""
    r = random.Random(f"{seed}/{index}")
    kinds = RELAYED * 3 + KILLED * 2 + ELSEWHERE
    kind = None if index % 3 == 0 else r.choice([f for f in kinds if f in allowed])
    # Software ciphers on a busy machine are silent for seconds: they need a longer patience than a
    # stall is to be waited for.
    arms = [a for a in arms if kind != "stall" or not a["software"]]
    arms = r.sample([a for a in arms if kind not in ROUTED or not has_own_route(a)], r.randint(1, 3))
    own_route, arms = any(map(has_own_route, arms)), [a["name"] for a in arms]
    memory = r.choice([16, 32, 64, 96, 128]) * MIB - r.choice([0, 0, 4 * KIB, 100 * KIB])
    streams = r.randint(2, 4) if kind and kind.endswith("stream death") else r.randint(1, 4)
    record = r.choice([4, 12, 16, 64, 100, 256, 256, 1024, 4096, 16384]) * KIB
    workers = r.choice(['"auto"', "1", "2", "3"] if record <= 4 * MIB else ['"auto"', "1"])
    timeout = 2.0 if kind == "stall" else 5.0
    clock = r.choices(["live", "virtual"], [3, 1])[0]
    link = r.choice(["1Gbit/s", "5Gbit/s", "10Gbit/s"] + (["unlimited"] * 3 if clock == "live" else []))
    zero = r.choice([0.0, 0.1, r.uniform(0, 0.9)])
    # The least that migtax takes: a share of a key holds the longest record, its head included.
    least = 2 * streams * (record + 128 * KIB) // KIB
    device_state = r.choice([64, 256, 1024]) * KIB
    granularity = r.choice(["4KiB", "4KiB", "2MiB"])
    # Faults stand at offsets of what is sent, which compressing makes fewer. QEMU compresses by itself.
    packs = kind is None and not any(arm.startswith("qemu-") for arm in arms)
    compression = r.choice(['"none"', '"lz4"', '"zstd"', "{ zstd = 1 }"]) if packs else '"none"'
    toml = f"""name = "soak {seed}/{index}"
[guest]
memory = "{memory // KIB}KiB"
vcpus = {r.randint(1, 3)}
seed = {r.randrange(1 << 32)}
content = {{ zero = {zero:.3f}, constant = {r.uniform(0, 1 - zero) / 3:.3f}, compressible = {r.uniform(0, 1 - zero) / 3:.3f} }}
device_state = "{device_state // KIB}KiB"
pages = "{r.choice(["4k", "thp"])}"
[workload]
rate = "{r.choice([0, 1, 20, 50, 100, 200])}MiB/s"
arrival = {arrival(r)}
placement = {placement(r)}
granularity = "{granularity}"
write = "{r.choice(["word", "page"])}"
[migration]
streams = {streams}
record = "{record // KIB}KiB"
compression = {compression}
destination_memory = "{r.choice(["faulted-in", "on-demand"])}"
tracker = "{r.choice(["auto", "bitmap", "userfaultfd"])}"
link = "{link}"
downtime_limit = "{r.choice([1, 20, 300])}ms"
max_rounds = {r.choice([1, 3, 10, 30])}
time_limit = "3s"
on_stall = "{r.choice(["abort", "switchover"])}"
policy = "{r.choice(["opportunistic", "opportunistic", "required"])}"
peer_timeout = "{timeout:.0f}s"
seal_workers = {workers}
rekey_bytes = "{r.choice([256 * MIB, least, least + r.randrange(64 * KIB)])}KiB"
rekey_records = {r.choice([1 << 32, 1, 2 * streams, 2 * streams * r.randint(2, 50)])}
[measure]
arms = [{", ".join(f'"{arm}"' for arm in arms)}]
repetitions = 1
warmup = 0
clock = "{clock}"
window = "{r.choice([1, 20, 50])}ms"
sampling = "{r.choice(["auto", "all"])}"
"""
    fault = None
    if kind in RELAYED:
        fault = relayed(r, kind, len(arms), max(streams, int(memory * (1 - zero))), streams, timeout)
    elif kind in KILLED:
        when = "time" if own_route else r.choice(["time", "bytes", "bytes", "final", "ack"])
        fault = Fault(kind, migration=r.randrange(len(arms)), when=when,
                      after=r.random(), offset=r.randrange(1 + int(memory * (1 - zero))))
    elif kind:
        fault = Fault(kind, after=r.random())
    needs_relay = kind in RELAYED or (fault and fault.when in ("bytes", "final", "ack"))
    return Plan(toml, arms, memory, streams, device_state + 16 * int(toml.split("vcpus = ")[1].split()[0]),
                timeout, clock, bool(needs_relay) or (kind is None and not own_route and r.random() < 0.5), own_route, fault)
