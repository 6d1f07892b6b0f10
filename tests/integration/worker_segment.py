"""A worker's segment read without any of the product's code: records of its rings, definitions of its code objects, and
the lines that their tables tell. Offsets are those of include/spprof/wire.

    segment = Segment(pid)
    for birth in segment.drain():
        segment.python_frames(birth)   # [(name, file, line)], innermost first
"""
import fcntl
import mmap
import os
import struct

RINGS, DATA = 4096, 4096 + 32 * 256 + (128 << 10)
CODES_INDEX = 8 << 10
COUNTERS = {"samples": 0, "python_samples": 39, "python_skipped": 40, "python_unpaired": 41, "codes": 42, "codes_not_kept": 43}
COUNTERS_AT = 256
PYTHON_AT = 768 + 20
NO_UNIT = (1 << 24) - 1
BIRTH = struct.Struct("<IHHQQQQQIIIHBB")
CODE = struct.Struct("<IBBHiIHHI")


def varint(table, at):
    value = shift = 0
    while True:
        byte = table[at]
        at += 1
        value |= (byte & 63) << shift
        shift += 6
        if not byte & 64:
            return value, at


def line_of_locations(table, first, unit):
    """CPython 3.11 on: Objects/locations.md."""
    at = begin = 0
    line = first
    while at < len(table):
        head = table[at]
        at += 1
        code, end = head >> 3 & 15, begin + (head & 7) + 1
        here = True
        if code == 15:
            here = False
        elif code in (13, 14):
            delta, at = varint(table, at)
            line += -(delta >> 1) if delta & 1 else delta >> 1
            for _ in range(3 if code == 14 else 0):
                _, at = varint(table, at)
        elif code >= 10:
            line += code - 10
            at += 2
        else:
            at += 1
        if begin <= unit < end:
            return line if here else None
        begin = end
    return None


def line_of_linetable(table, first, unit):
    """CPython 3.10: PEP 626."""
    begin, line = 0, first
    for i in range(0, len(table) - 1, 2):
        delta = table[i + 1] - 256 if table[i + 1] > 127 else table[i + 1]
        if delta != -128:
            line += delta
        if begin <= 2 * unit < begin + table[i]:
            return line if delta != -128 else None
        begin += table[i]
    return None


def line_of_lnotab(table, first, unit):
    """CPython 3.9: Objects/lnotab_notes.txt."""
    begin, line = 0, first
    for i in range(0, len(table) - 1, 2):
        begin += table[i]
        if begin > 2 * unit:
            break
        line += table[i + 1] - 256 if table[i + 1] > 127 else table[i + 1]
    return line


LINES = {1: line_of_lnotab, 2: line_of_linetable, 3: line_of_locations}


class Segment:
    def __init__(self, pid):
        self.fd = self.open(pid)
        # Keeps a daemon that looks for segments in all of /proc away.
        fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.map = mmap.mmap(self.fd, 0)
        self.ring_count, self.ring_size = struct.unpack_from("<II", self.map, 16)
        self.definitions = DATA + self.ring_count * self.ring_size
        self.codes = {}

    @staticmethod
    def open(pid):
        folder = f"/proc/{pid}/fd"
        for name in os.listdir(folder):
            path = os.path.join(folder, name)
            try:
                if os.readlink(path).startswith("/memfd:spprof-segment"):
                    return os.open(path, os.O_RDWR | os.O_CLOEXEC)
            except FileNotFoundError:
                pass
        raise RuntimeError(f"process {pid} has no segment")

    def close(self):
        self.map.close()
        os.close(self.fd)

    def counter(self, name):
        return struct.unpack_from("<Q", self.map, COUNTERS_AT + 8 * self.counter_index(name))[0]

    @staticmethod
    def counter_index(name):
        return COUNTERS[name]

    def python(self):
        """(enum wire_python, PY_VERSION_HEX)"""
        word, version = struct.unpack_from("<II", self.map, PYTHON_AT)
        return word & 0xff, version

    def drain(self):
        """All births that were told since the last time."""
        births = []
        for ring in range(self.ring_count):
            control, data = RINGS + 256 * ring, DATA + self.ring_size * ring
            head, = struct.unpack_from("<Q", self.map, control)
            tail, = struct.unpack_from("<Q", self.map, control + 128)
            while tail < head:
                births += self.record(data, tail)
                tail += struct.unpack_from("<I", self.map, data + tail % self.ring_size)[0]
            struct.pack_into("<Q", self.map, control + 128, tail)
        return births

    def record(self, data, at):
        size, kind = struct.unpack_from("<IH", self.map, data + at % self.ring_size)
        if kind != 1:
            return []
        begin = at % self.ring_size
        end = begin + size
        ring = self.map[data + begin:data + min(end, self.ring_size)] + self.map[data:data + max(0, end - self.ring_size)]
        fields = BIRTH.unpack_from(ring)
        count = fields[11]
        return [{"id": fields[3], "size": fields[4], "tid": fields[8], "stop": fields[12],
                 "frames": list(struct.unpack_from(f"<{count}Q", ring, 64))}]

    def code(self, number):
        """(name, file, first line, line table, function of these that finds a line)"""
        if number not in self.codes:
            place, = struct.unpack_from("<Q", self.map, self.definitions + CODES_INDEX + 8 * number)
            if place == 0:
                return None
            begin = self.definitions + (place >> 32)
            head = CODE.unpack_from(self.map, begin)
            size, kind, _, _, first, line_bytes, name_bytes, file_bytes, _ = head
            assert size == place & 0xffffffff
            text = self.map[begin + CODE.size:begin + size]
            name, file = text[:name_bytes], text[name_bytes:name_bytes + file_bytes]
            table = text[name_bytes + file_bytes:name_bytes + file_bytes + line_bytes]
            self.codes[number] = name.decode(), file.decode(), first, table, LINES[kind]
        return self.codes[number]

    def python_frames(self, birth):
        frames = []
        for word in birth["frames"]:
            if word >> 60 == 1:
                code = self.code(word >> 24 & (1 << 36) - 1)
                unit = word & NO_UNIT
                if code is None:
                    frames.append((None, None, None))
                else:
                    name, file, first, table, line = code
                    frames.append((name, file, first if unit == NO_UNIT else line(table, first, unit)))
        return frames
