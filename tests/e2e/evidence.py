"""What the outside saw: system calls of a process (strace), replies on the wire (tcpdump), records in a segment file."""
import re
import struct

LINE = re.compile(r'^(\d+) +([\d.]+) (.*)$', re.M)
RESUMED = re.compile(r'<\.\.\. \w+ resumed>(.*)$')
CALL = re.compile(r'^(\w+)\((?:AT_FDCWD|(\d+))(?:<([^>]*)>)?(.*)\) += (-?\d+)(?:<([^>]*)>)?.*?<([\d.]+)>$')
RECORD = struct.Struct('<IIIIHHIQQQQQ')  # struct spool_record
COMMIT_FIXED = struct.Struct('<qQIIII')  # struct spool_commit
EXTENT = struct.Struct('<QQII')
MAGIC, CHUNK, COMMIT = 0x4e545350, 2, 3
ID_DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUV'
QUEUED = re.compile(rb'250 2\.6\.0 (?:<)?([0-9A-V]{13})')


class Call:
    """One system call: name, path of its descriptor, arguments as text, result, when it began and returned."""

    def __init__(self, began, match):
        self.name, _, self.path, self.arguments, result, self.made, took = match.groups()
        self.result, self.began, self.ended = int(result), began, began + float(took)


def calls_of(trace):
    """All finished calls in a trace of strace -f -y -ttt -T."""
    calls, begun = [], {}
    for pid, when, rest in LINE.findall(trace):
        if rest.endswith('<unfinished ...>'):
            begun[pid] = (float(when), rest[:-len('<unfinished ...>')].rstrip())
            continue
        began, text = float(when), rest
        resumed = RESUMED.match(rest)
        if resumed:
            began, head = begun.pop(pid)
            text = head + resumed.group(1)
        match = CALL.match(text)
        if match:
            calls.append(Call(began, match))
    return calls


def id_number(text):
    number = 0
    for digit in text:
        number = number << 5 | ID_DIGITS.index(digit)
    return number


def queued_on_wire(pcap):
    """{message id: when the packet with its 250 was seen first} of a capture of Ethernet frames."""
    seen, at = {}, 24
    nano = 1e-9 if pcap[:4] == b'\x4d\x3c\xb2\xa1' else 1e-6
    while at + 16 <= len(pcap):
        seconds, fraction, octets, _ = struct.unpack_from('<IIII', pcap, at)
        for text in QUEUED.findall(pcap[at + 16:at + 16 + octets]):
            seen.setdefault(id_number(text.decode()), seconds + fraction * nano)
        at += 16 + octets
    return seen


def places_of_messages(segments):
    """{message id: [(segment, offset, octets)]} of its COMMIT record and all its chunks. segments: {number: octets of the file}."""
    places = {}
    for number, octets in segments.items():
        at = 0
        while at + RECORD.size <= len(octets):
            magic, _, payload, _, kind, _, _, message, _, offset, segment, _ = RECORD.unpack_from(octets, at)
            if magic != MAGIC or offset != at or segment != number:
                break
            if kind == COMMIT:
                count = COMMIT_FIXED.unpack_from(octets, at + RECORD.size)[2]
                base = at + RECORD.size + COMMIT_FIXED.size
                extents = [EXTENT.unpack_from(octets, base + i * EXTENT.size)[:3] for i in range(count)]
                places[message] = [(number, at, RECORD.size + payload)] + extents
            at += (RECORD.size + payload + 7) & ~7
    return places
