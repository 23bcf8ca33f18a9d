"""A relay between source and destination that hurts the bytes on their way.

It reads what is in the clear (preambles and the two lengths before each record, see src/wire/), so
that it knows which migration and stream a connection is, where records begin, and which record on
stream 0 is the final one and which the switchover's acknowledgement. A fault strikes at one byte of one
direction of one stream of one migration of the run; what was struck is kept for the judge.
"""
import os, select, socket, struct, threading, time

PREAMBLE = 40
HEAD = 32
# A handshake's record and the first byte of its version: of no length of this program's first records.
TLS_HANDSHAKE = b"\x16\x03"
CHUNK = 256 << 10
# Small, so that little waits in the relay while a host is already silent for its peer.
BUFFER = 256 << 10
TO_DESTINATION, TO_SOURCE = "to destination", "to source"


def reset(*ends):
    """Closes with a reset instead of an orderly end."""
    for end in ends:
        try:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            # Wakes a thread that receives from it: while one does, closing has no effect.
            end.shutdown(socket.SHUT_RD)
        except OSError:
            pass
        end.close()


class Migration:
    """What is known of one migration from its bytes."""

    def __init__(self, ordinal):
        self.ordinal = ordinal
        self.bytes = 0
        self.final_at = self.ack_at = None  # (first byte, end), in their direction of stream 0
        self.final_sent = self.ack_sent = False


class Records:
    """Follows the records in one direction of a stream; calls `each(start, end, body, head)`. A stream that begins with
    a TLS handshake has none to follow: what is in them, the final one included, is not known then."""

    def __init__(self, preamble, each):
        self.at, self.next, self.lengths, self.each = 0, preamble, b"", each
        self.first = preamble

    def feed(self, data):
        end = self.at + len(data)
        while self.next + len(self.lengths) < end:
            start = self.next + len(self.lengths) - self.at
            self.lengths += data[start:start + 8 - len(self.lengths)]
            if len(self.lengths) < 8:
                break
            if self.next == self.first and self.lengths[:2] == TLS_HANDSHAKE:
                self.next = float("inf")
                break
            body, head = struct.unpack("<II", self.lengths)
            self.each(self.next, self.next + 8 + body, body, head)
            self.next, self.lengths = self.next + 8 + body, b""
        self.at = end


class Stream:
    """One relayed connection."""

    def __init__(self, relay, near, far):
        self.relay, self.near, self.far = relay, near, far
        self.migration = self.number = None
        self.first = b""
        self.tag = self.round_ends = self.acks = 0
        self.hello = False
        self.state_left = relay.device_state
        self.records = {TO_DESTINATION: Records(PREAMBLE, self.sent), TO_SOURCE: Records(0, self.answered)}
        self.tail = {TO_DESTINATION: b"", TO_SOURCE: b""}
        self.cut = threading.Event()

    def sent(self, start, end, body, head):
        if not self.hello:
            self.hello, self.tag = True, body - HEAD - 24
        elif head == HEAD and self.number == 0 and self.migration:
            payload = body - HEAD - self.tag
            if self.state_left <= 0:
                self.migration.final_at = (start, end)
            elif payload > 96 or self.state_left < self.relay.device_state:
                self.state_left -= payload
            elif payload == 24:
                self.round_ends += 1

    def answered(self, start, end, _body, _head):
        if self.number == 0 and self.migration.final_at and self.acks == 1 + self.round_ends:
            self.migration.ack_at = (start, end)
        self.acks += 1

    def learn(self, data):
        if len(self.first) < PREAMBLE:
            self.first += bytes(data[:PREAMBLE - len(self.first)])
            if len(self.first) == PREAMBLE:
                self.number = struct.unpack_from("<I", self.first, 12)[0]
                self.migration = self.relay.migration_of(self.first[24:40])

    def pump(self, direction):
        """Carries one direction to its end."""
        here, there = (self.near, self.far) if direction == TO_DESTINATION else (self.far, self.near)
        buffer = memoryview(bytearray(CHUNK))
        at = 0
        try:
            while True:
                count = here.recv_into(buffer)
                if count == 0:
                    there.shutdown(socket.SHUT_WR)
                    return
                data = buffer[:count]
                if direction == TO_DESTINATION:
                    self.learn(data)
                self.records[direction].feed(data)
                if self.migration and direction == TO_DESTINATION:
                    self.migration.bytes += count
                self.relay.passing(self, direction)
                self.relay.end_idle(self, direction)
                if not self.relay.strike(self, direction, at, data, here, there):
                    return
                at += count
                self.tail[direction] = bytes(data[-4096:])
                self.passed(direction, at)
        except OSError:
            for end in (here, there):
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def passed(self, direction, at):
        m = self.migration
        if m and self.number == 0:
            if direction == TO_DESTINATION and m.final_at and at >= m.final_at[1]:
                m.final_sent = True
            if direction == TO_SOURCE and m.ack_at and at >= m.ack_at[1]:
                m.ack_sent = True


class Relay:
    """Listens at a port of its own and connects to the destination's.

    `fault` is None or a plan.Fault; `at_event(name, migration)` is told of "bytes", "final" and "ack"
    before what made the event goes on."""

    def __init__(self, target, device_state, fault=None, at_event=None):
        self.target, self.device_state, self.fault, self.at_event = target, device_state, fault, at_event
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        self.port = self.listener.getsockname()[1]
        self.lock = threading.Lock()
        self.migrations, self.streams, self.threads = {}, [], []
        self.applied = None
        self.slow_until = 0
        self.over = threading.Event()
        self.wake = os.pipe()
        self.acceptor = threading.Thread(target=self.accept, daemon=True)
        self.acceptor.start()

    def accept(self):
        while True:
            ready, _, _ = select.select([self.listener, self.wake[0]], [], [])
            if self.wake[0] in ready:
                return
            near, _ = self.listener.accept()
            far = socket.socket()
            far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
            try:
                far.connect(("127.0.0.1", self.target))
            except OSError:
                near.close()
                far.close()
                continue
            for end in (near, far):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            stream = Stream(self, near, far)
            self.streams.append(stream)
            for direction in (TO_DESTINATION, TO_SOURCE):
                thread = threading.Thread(target=stream.pump, args=(direction,), daemon=True)
                self.threads.append(thread)
                thread.start()

    def migration_of(self, identity):
        with self.lock:
            if identity not in self.migrations:
                self.migrations[identity] = Migration(len(self.migrations))
            return self.migrations[identity]

    def passing(self, stream, direction):
        if not self.at_event or not stream.migration:
            return
        self.at_event("bytes", stream.migration)
        if direction == TO_DESTINATION and stream.migration.final_at:
            self.at_event("final", stream.migration)
        if direction == TO_SOURCE and stream.migration.ack_at:
            self.at_event("ack", stream.migration)

    def struck_offset(self, stream, direction):
        """Where in this direction of this stream the fault strikes; None if it does not."""
        fault, m = self.fault, stream.migration
        if not fault or self.applied or not m or m.ordinal != fault.migration or fault.kind == "idle stream death":
            return None
        if direction != fault.direction or stream.number != fault.stream:
            return None
        if fault.where == "offset":
            return fault.offset
        span = m.final_at if fault.where == "final" else m.ack_at
        return span[0] + fault.offset % (span[1] - span[0]) if span else None

    def end_idle(self, stream, direction):
        """A stream that is done dies while stream 0 carries the final record or its acknowledgement:
        no byte that is needed is lost."""
        fault, m = self.fault, stream.migration
        if (not fault or fault.kind != "idle stream death" or self.applied or not m
                or m.ordinal != fault.migration or direction != fault.direction):
            return
        if not (m.final_at if direction == TO_DESTINATION else m.ack_at):
            return
        other = next((s for s in self.streams if s.migration is m and s.number == fault.stream), None)
        if other:
            self.applied = {"kind": fault.kind, "migration": m.ordinal, "stream": other.number, "direction": direction,
                            "offset": None, "in_switchover_ack": direction == TO_SOURCE, "after_final": True}
            reset(other.near, other.far)

    def strike(self, stream, direction, at, data, here, there):
        """Sends `data` on, or what the fault makes of it. False if this direction is at its end."""
        offset = self.struck_offset(stream, direction)
        if offset is None or not at <= offset < at + len(data):
            if self.is_slow(stream, direction):
                self.slowly(data, there)
            elif not stream.cut.is_set():
                there.sendall(data)
            return True
        m, within, kind = stream.migration, offset - at, self.fault.kind
        ack = direction == TO_SOURCE and m.ack_at is not None and m.ack_at[0] <= offset < m.ack_at[1]
        self.applied = {"kind": kind, "migration": m.ordinal, "stream": stream.number, "direction": direction,
                        "offset": offset, "in_switchover_ack": ack, "after_final": m.final_sent}
        if kind == "flipped bit":
            data[within] ^= 1 << self.fault.bit
            there.sendall(data)
            return True
        if kind == "duplicate":
            past = stream.tail[direction] + bytes(data[:within])
            again = past[-self.fault.length:] or bytes(self.fault.length)
            there.sendall(data[:within])
            there.sendall(again)
            there.sendall(data[within:])
            return True
        if kind == "slow reader":
            self.slow_until = time.monotonic() + self.fault.seconds
            self.slowly(data, there)
            return True
        there.sendall(data[:within])
        if kind != "half-close":
            stream.cut.set()
        if kind in ("reset", "stream death"):
            reset(here, there)
        elif kind == "truncate":
            for end in (there, here):
                end.shutdown(socket.SHUT_WR)
        elif kind == "half-close":
            there.shutdown(socket.SHUT_WR)
            while here.recv_into(data):
                pass
        elif kind == "stall":
            self.over.wait()
        return False

    def is_slow(self, stream, direction):
        """All streams of the migration read slowly in that direction, for a time."""
        return (time.monotonic() < self.slow_until and direction == self.fault.direction
                and stream.migration and stream.migration.ordinal == self.fault.migration)

    def slowly(self, data, there):
        for start in range(0, len(data), 32 << 10):
            there.sendall(data[start:start + (32 << 10)])
            if time.monotonic() < self.slow_until:
                self.over.wait(self.fault.pause)

    def close(self):
        """Ends every connection and waits for the threads. Returns how many did not end."""
        self.over.set()
        os.write(self.wake[1], b"x")
        self.acceptor.join(5)
        self.listener.close()
        for stream in self.streams:
            for end in (stream.near, stream.far):
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
        deadline = time.monotonic() + 5
        for thread in self.threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        for stream in self.streams:
            stream.near.close()
            stream.far.close()
        for end in self.wake:
            os.close(end)
        return sum(thread.is_alive() for thread in self.threads)
