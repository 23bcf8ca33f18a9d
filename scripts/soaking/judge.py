"""What must hold after a run. Every violation is one line."""
import re, signal

from .plan import RELAYED

ARRIVED = ("completed", "fell_back")
CLASSES = [
    ("record not authentic", r"is not authentic"),
    ("damaged or malformed record", r"damaged record|malformed record|out of bounds|record sequence|where .* was due|in the preamble|another migration|connected twice|announces another"),
    ("host process ended", r"host process ended"),
    ("memory differs", r"guest memory differs"),
    ("nobody knows", r"nobody knows"),
    ("peer silent", r"was silent for|said nothing for"),
    ("connection reset", r"reset by peer|Broken pipe|aborted"),
    ("stream closed", r"closed by the|ended without a final record|failed to fill whole buffer"),
    ("not connected", r"connecting to the destination|to connect|preamble"),
    ("refused by a host", r"listening|memory|Refused|started|thread"),
    ("streams disagree", r"totals|a round begins"),
]


def reason_class(reason):
    """The first class whose words stand in a reason; what caused it stands before what followed."""
    for name, pattern in CLASSES:
        if re.search(pattern, reason or ""):
            return name
    return "other"


def migration(m, clock):
    """What holds for every migration, whatever was done to it."""
    name, status = m["arm"], m["outcome"]["status"]
    verified, guest = m["verified"], m["guest"]
    if status in ARRIVED and not verified["equal"]:
        yield f"{name}: {status} without equal memory: {verified}"
    if status in ARRIVED and not (verified["source_hash"] and verified["source_hash"] == verified["destination_hash"]):
        yield f"{name}: {status}, hashes {verified}"
    if status == "failed" and not m["outcome"]["reason"]:
        yield f"{name}: failed without a reason"
    if guest.get("writes_verified") is False:
        yield f"{name}: {status}: the guest that stayed lost writes: {m['outcome']['reason']}"
    if status in ARRIVED:
        down = m["downtime"]
        if abs(down["total_s"] - sum(v for k, v in down.items() if k != "total_s")) > 1e-9:
            yield f"{name}: the parts of the downtime do not add up: {down}"
        if not m["rounds"] or m["rounds"][-1]["kind"] != "stop-and-copy":
            yield f"{name}: {status} without a stop-and-copy round"
    if "differs from its own record" in (m["outcome"]["reason"] or ""):
        yield f"{name}: {m['outcome']['reason']}"
    for side, cpu in m["cpu"].items():
        stages = {name: value for name, value in cpu.items() if name != "sampling"}
        if any(value < 0 for value in [*stages.values(), *cpu.get("sampling", {}).values()]):
            yield f"{name}: negative CPU time at the {side}: {cpu}"


def struck(baselines, tls, results, applied):
    """What a fault in the relay may have come to."""
    kind = applied["kind"]
    if applied["migration"] >= len(results["migrations"]):
        yield f"the migration that was struck is not in results.json: {applied}"
        return
    m = results["migrations"][applied["migration"]]
    status, reason = m["outcome"]["status"], m["outcome"]["reason"]
    said = f"{m['arm']}: {status} ({reason}) after {applied}"
    if kind == "slow reader":
        if status == "failed":
            yield "a slow reader is no failure: " + said
        return
    if status == "failed" and m["verified"]["equal"]:
        yield "failed, though the destination took over and both memories are equal: " + said
        return
    if kind == "idle stream death":
        return
    sealed = m["arm"] not in baselines and status != "fell_back"
    lost = any(w["code"] == "lost_acknowledgement" and w["message"].startswith(m["arm"] + " ") for w in results["warnings"])
    # Where TLS is below the records, the relay does not know which one it struck.
    is_tls = m["arm"] in tls and status != "fell_back"
    if status == "failed" or ((applied["in_switchover_ack"] or is_tls) and status in ARRIVED and lost):
        return
    if kind == "flipped bit" and is_tls and status in ARRIVED:
        # Nobody looks at the version before a record of TLS's; memory is equal, as was checked.
        return
    if kind in ("flipped bit", "duplicate") and not sealed and applied["direction"] == "to destination":
        # Content of the baselines' pages is checked by the hash alone, and later rounds may mend it.
        return
    yield "a byte that was needed was struck, and the migration did not fail: " + said


def exit_code(plan, results, fault, applied, code):
    """The contract's exit code for what happened."""
    bad = results and (any(m["outcome"]["status"] == "failed" for m in results["migrations"])
                       or any(a["policy_decision"] == "refused" for a in results["arms"]))
    usual = 6 if bad else 0
    kind = fault.kind if fault else None
    if kind == "kill coordinator" and applied:
        allowed = [-signal.SIGKILL]
    elif kind in ("interrupt", "terminate") and applied:
        number = signal.SIGINT if kind == "interrupt" else signal.SIGTERM
        if results is None:
            # It struck before the coordinator watched for it.
            allowed = [130, -number]
        elif results["interrupted"]:
            allowed = [130]
        else:
            # Every migration had been made; `run` checks that.
            allowed = [usual]
    elif kind in ("read-only folder", "full disk") and applied:
        allowed = [1]
    else:
        allowed = [usual]
    if code not in allowed:
        yield f"exit code {code}, the contract says {' or '.join(map(str, allowed))}"


def run(plan, arms, results, applied, code, reader):
    """Every violation of a run that has ended; `arms` are those of `migtax list arms --json`."""
    fault = plan.fault
    kind = fault.kind if fault else None
    if reader.problem:
        yield reader.problem
    if results is None:
        early = applied and kind in ("kill coordinator", "interrupt", "terminate", "read-only folder", "full disk")
        if not early:
            yield f"no results.json, exit code {code}"
            return
    yield from exit_code(plan, results, fault, applied, code)
    if results is None:
        return
    if results["schema_version"] != 2:
        yield f"schema version {results['schema_version']}"
    cut_short = applied and kind in ("kill coordinator", "interrupt", "terminate", "read-only folder", "full disk")
    if results["interrupted"] and not cut_short:
        yield "interrupted, and nobody did"
    for m in results["migrations"]:
        yield from migration(m, plan.clock)
    if applied and kind in RELAYED:
        tls = [a["name"] for a in arms if a["library"] == "s2n-tls"]
        yield from struck([a["name"] for a in arms if not a["encrypted"]], tls, results, applied)
    hurt = applied["migration"] if isinstance(applied, dict) else None
    for ordinal, m in enumerate(results["migrations"]):
        spared = kind is None or not applied or (hurt is not None and ordinal != hurt)
        if spared and m["outcome"]["status"] == "failed":
            yield f"{m['arm']}: failed, though nothing was done to it: {m['outcome']['reason']}"
    due = [a for a in results["arms"] if a["policy_decision"] not in ("refused", "disabled", "unsupported")]
    if not results["interrupted"] and len(results["migrations"]) != len(due):
        yield f"not interrupted, and {len(results['migrations'])} migrations of {len(due)} arms"
    if plan.clock == "virtual":
        done = [m for ordinal, m in enumerate(results["migrations"])
                if m["outcome"]["status"] == "completed" and ordinal != hurt]
        counts = {(tuple((r["pages_sent"], r["zero_pages"]) for r in m["rounds"]), m["verified"]["source_hash"]) for m in done}
        if len(counts) > 1:
            yield "the arms' counts or hashes differ under the virtual clock"
