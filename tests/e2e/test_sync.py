"""Every 250 after the last dot leaves after the sync that covers it, seen from outside: in the system calls of postern-edge, in the
packets on the wire, and in the records of the segment files.

strace says when each write and each sync of a segment returned, tcpdump when the packet with each 250 was on the wire, by the same
clock; the segment file says where the commit record and the chunks of each message are. Each of those places must have been
written before some sync of that file began, and that sync have ended before the 250 left. Parallel clients, so that one sync
answers for many; enough octets that a segment ends and the next begins. As a control, the check must fail for the same
evidence with the syncs taken out, and with syncs that began before anything was written.
"""
import glob
import re
import shutil
import threading

from client import message, session
from evidence import calls_of, places_of_messages, queued_on_wire
from lab import RELAY, Failed, Lab, Skipped, expect, wait_for
from sink import Sink

CLIENTS = 12
SMALL = [200, 5000, 40000, 1000, 17000] * 3
LARGE = [5000000] * 14
CALLS = 'trace=pwritev,pwritev2,pwrite64,write,writev,fdatasync,fsync,openat'


def send(lab, short, sizes, made, failures):
    try:
        client = session(lab, short, RELAY, timeout=60)
        for size in sizes:
            client.send_mail('a@neulan.net', ['b@example.com'], made[size])
        client.quit()
    except (OSError, Failed) as error:
        failures.append(f'{short}: {error}')


def send_all(lab):
    failures, made = [], {size: message(size) for size in SMALL + LARGE}
    threads = [threading.Thread(target=send, args=(lab, 'web', SMALL, made, failures)) for _ in range(CLIENTS)]
    threads.append(threading.Thread(target=send, args=(lab, 'farm', LARGE, made, failures)))
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    expect(not failures, '; '.join(failures))
    return CLIENTS * len(SMALL) + len(LARGE)


def read(path, mode='r'):
    with open(path, mode) as f:
        return f.read()


def segment_of(path):
    found = re.search(r'/segments/(\d{16})\.seg$', path or '')
    return int(found.group(1)) if found else None


class Disk:
    """When each place of each segment became durable."""

    def __init__(self, calls):
        self.writes, self.syncs, self.directory, self.made = {}, {}, [], {}
        for c in calls:
            segment = segment_of(c.path)
            if c.name == 'openat' and 'O_CREAT' in c.arguments and segment_of(c.made):
                self.made[segment_of(c.made)] = c.ended
            elif c.name == 'fsync' and c.result == 0 and (c.path or '').endswith('/segments'):
                self.directory.append((c.began, c.ended))
            elif segment is not None and c.name == 'fdatasync' and c.result == 0:
                self.syncs.setdefault(segment, []).append((c.began, c.ended))
            elif segment is not None and c.name == 'pwritev':
                offset = int(c.arguments.rsplit(',', 1)[1])
                self.writes.setdefault(segment, []).append((offset, offset + c.result, c.ended))
            else:
                expect(segment is None or c.name in ('openat', 'fdatasync', 'fsync'), f'{c.name} on a segment: the check does not know it')

    def written(self, segment, offset, octets):
        """When the last octet of the place was written, or never."""
        times = [ended for start, stop, ended in self.writes.get(segment, []) if start <= offset and offset + octets <= stop]
        return max(times, default=float('inf'))

    def durable(self, place):
        written = self.written(*place)
        at = min((ended for began, ended in self.syncs.get(place[0], []) if began >= written), default=float('inf'))
        if place[0] not in self.made:
            return at  # from before the trace
        name = min((ended for began, ended in self.directory if began >= self.made[place[0]]), default=float('inf'))
        return max(at, name)


def uncovered(disk, places, queued):
    """Messages whose 250 was on the wire before all they consist of was durable."""
    return [m for m, left in queued.items() if m not in places or max(disk.durable(p) for p in places[m]) > left]


def check_control(disk, places, queued):
    """No syncs, and syncs that began before everything was written: both must be found out, for every message."""
    kept = disk.syncs
    for useless in ({}, {segment: [(0.0, ended) for _, ended in syncs] for segment, syncs in kept.items()}):
        disk.syncs = useless
        expect(len(uncovered(disk, places, queued)) == len(queued), 'the check cannot fail')
    disk.syncs = kept


def observe(lab):
    """Send everything with strace and tcpdump at work. Returns calls, capture, number of mails."""
    (edge,) = lab.postern_pids('postern-edge')
    trace, wire = lab.path('trace'), lab.path('wire')
    tracer = lab.start('srv', 'strace', '-f', '-y', '-ttt', '-T', '-s', '0', '-e', CALLS, '-o', trace, '-p', str(edge), stderr=open(lab.path('strace.err'), 'wb'))
    sniffer = lab.start('net', 'tcpdump', '-i', 'edge', '-U', '-B', '16384', '-w', wire, 'tcp src port 25', stderr=open(lab.path('tcpdump.err'), 'wb'))
    wait_for('strace', lambda: 'attached' in read(lab.path('strace.err')))
    wait_for('tcpdump', lambda: 'listening' in read(lab.path('tcpdump.err')))
    count = send_all(lab)
    wait_for('every 250 in the capture', lambda: len(queued_on_wire(read(wire, 'rb'))) >= count)
    for tool in (tracer, sniffer):
        tool.terminate()
        tool.wait(10)
    return calls_of(read(trace)), queued_on_wire(read(wire, 'rb')), count


def test_each_250_follows_its_sync():
    if not shutil.which('strace') or not shutil.which('tcpdump'):
        raise Skipped('strace or tcpdump is not installed')
    with Lab() as lab:
        sink = Sink(lab)
        sink.mode = 'defer'  # so that no segment is done before it is read
        lab.start_postern()
        calls, queued, count = observe(lab)
        files = glob.glob(lab.path('spool/segments/*.seg'))
        places = places_of_messages({segment_of(path): read(path, 'rb') for path in files})
        disk = Disk(calls)
        syncs = sum(len(s) for s in disk.syncs.values())
        expect(len(queued) == count, f'{len(queued)} of {count} answers seen on the wire')
        early = uncovered(disk, places, queued)
        expect(not early, f'250 before its sync: {len(early)} of {count}; {syncs} syncs')
        expect(syncs < count * 0.8, f'{syncs} syncs for {count} mails: no group commit was seen')
        expect(disk.made, 'no segment was begun while the trace ran')
        check_control(disk, places, queued)
        print(f'      | {count} mails, {syncs} syncs, {len(disk.made)} new segments', flush=True)


def test_large_mail_is_on_its_way_to_the_disk_before_its_sync():
    if not shutil.which('strace'):
        raise Skipped('strace is not installed')
    with Lab() as lab:
        lab.start_postern()
        (edge,) = lab.postern_pids('postern-edge')
        tracer = lab.start('srv', 'strace', '-f', '-y', '-ttt', '-T', '-e', 'trace=sync_file_range,fdatasync', '-o', lab.path('trace'), '-p', str(edge),
                           stderr=open(lab.path('strace.err'), 'wb'))
        wait_for('strace', lambda: 'attached' in read(lab.path('strace.err')))
        client = session(lab, 'web', RELAY, timeout=60)
        client.send_mail('a@neulan.net', ['b@example.com'], message(6000000))
        tracer.terminate()
        tracer.wait(10)
        calls = [c for c in calls_of(read(lab.path('trace'))) if segment_of(c.path) is not None]
        last_sync = max(c.began for c in calls if c.name == 'fdatasync')
        stretches = [c for c in calls if c.name == 'sync_file_range' and c.result == 0 and c.ended <= last_sync]
        expect(len(stretches) >= 4, f'{len(stretches)} stretches of 6 MB began to be written before the sync')
