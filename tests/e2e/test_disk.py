"""A spool that cannot be written: full when the server starts, full while it runs, a sync that fails, a directory that may not be
written. Clients hear 451 and keep their sessions, what got a 250 arrives once, and mail is taken again without a restart."""
import os
import shutil
import signal
import time

from client import message, session, stuff
from lab import RELAY, Failed, Lab, Skipped, expect, wait_for
from sink import Sink

BODY = b'Subject: disk\r\n\r\nx\r\n'
SPOOL_MIB = 176  # its segments have 16 MiB
LARGE = stuff(message(4000000))


class SmallSpool:
    """A spool on a tmpfs of its own, seen by posternd only, with a file in it that takes space."""

    def __init__(self, lab, filled_mib, spool_mib=SPOOL_MIB):
        self.lab = lab
        script = 'd=$0; mount -t tmpfs -o size=%dm tmpfs $d && chown nobody $d && fallocate -l %dm $d/filler && exec "$@"'
        lab.start_postern('sh', '-c', script % (spool_mib, filled_mib), lab.path('spool'))
        self.filler = f'/proc/{lab.posternd.pid}/root{lab.path("spool")}/filler'

    def free(self):
        return os.statvfs(os.path.dirname(self.filler)).f_bavail * 4096

    def fill(self):
        fd = os.open(self.filler, os.O_WRONLY | os.O_CREAT)
        os.posix_fallocate(fd, 0, self.free() - (1 << 20))
        os.close(fd)

    def make_room(self):
        os.unlink(self.filler)


def try_mail(client, name, data):
    """True: 250. False: 451 at MAIL or at the final dot."""
    if client.say('MAIL FROM:<form@neulan.net>').startswith('451 4.3'):
        return False
    client.say(f'RCPT TO:<{name}@example.com>', '250')
    client.say('DATA', '354')
    client.sock.sendall(data + b'.\r\n')
    reply = client.hear(None, 'final dot')
    expect(reply[:3] in ('250', '451'), f'final dot: {reply}')
    return reply.startswith('250')


def check_arrivals(sink, names):
    wait_for('every mail that got a 250', lambda: len(sink.mails) >= len(names), 20)
    time.sleep(0.5)
    got = sorted(m.recipients[0] for m in sink.mails)
    expect(got == sorted(f'{n}@example.com' for n in names), f'acknowledged {names}, arrived {got}')


def says(lab, text):
    with open(lab.path('posternd.err')) as f:
        return text in f.read()


def test_full_at_start_then_room():
    with Lab() as lab:
        sink = Sink(lab)
        spool = SmallSpool(lab, SPOOL_MIB - 10)
        pids, client = lab.postern_pids(), session(lab, 'web', RELAY)
        client.say('MAIL FROM:<form@neulan.net>', '451 4.3.0')
        client.say('NOOP', '250')
        expect(lab.ctl_json('status')['spool']['accepting'] is False, 'status says that mail is accepted')
        spool.make_room()
        wait_for('mail to be taken again', lambda: try_mail(client, 'after', BODY), 5)
        check_arrivals(sink, ['after'])
        expect(says(lab, 'no room for another segment') and says(lab, 'taking mail again'), 'the log says nothing of it')
        expect(lab.postern_pids() == pids, 'a process died')


def test_full_under_load_then_room():
    with Lab() as lab:
        sink = Sink(lab)
        spool = SmallSpool(lab, 1)
        pids, client, idle = lab.postern_pids(), session(lab, 'web', RELAY), session(lab, 'farm', RELAY)
        spool.fill()
        taken = []
        while try_mail(client, f'n{len(taken)}', LARGE):
            taken.append(f'n{len(taken)}')
            expect(len(taken) < 20, 'the disk does not become full')
        expect(len(taken) > 2, f'only {taken} fitted')
        idle.say('MAIL FROM:<form@neulan.net>', '451 4.3.0')
        expect(not try_mail(client, 'no', BODY), 'mail was taken by a full spool')
        spool.make_room()
        for n, each in enumerate((client, idle)):
            wait_for('mail to be taken again', lambda: try_mail(each, f'after{n}', BODY), 5)
            taken.append(f'after{n}')
        check_arrivals(sink, taken)
        expect(lab.postern_pids() == pids, 'a process died')
        print(f'      | {len(taken) - 2} mails before the disk was full', flush=True)


def test_small_partition_fills_and_empties():
    with Lab() as lab:
        SmallSpool(lab, 1, 100)
        pids, client = lab.postern_pids(), session(lab, 'web', RELAY)
        taken = []
        while try_mail(client, f'n{len(taken)}', LARGE):
            taken.append(f'n{len(taken)}')
            expect(len(taken) < 30, 'the disk does not become full')
        expect(len(taken) * 4 > 60, f'only {len(taken)} mails of 4 MB fitted into 100 MiB')
        expect(not try_mail(client, 'no', BODY), 'mail was taken by a full spool')
        sink = Sink(lab)
        lab.ctl('queue', 'retry', 'all')
        wait_for('mail to be taken again', lambda: try_mail(client, 'after', BODY), 30)
        check_arrivals(sink, taken + ['after'])
        expect(lab.postern_pids() == pids, 'a process died')


def test_failed_sync_then_a_disk_that_works():
    if not shutil.which('strace'):
        raise Skipped('strace is not installed')
    with Lab() as lab:
        sink = Sink(lab)
        lab.start_postern()
        pids, client = lab.postern_pids(), session(lab, 'web', RELAY)
        expect(try_mail(client, 'before', BODY), 'no mail before')
        (edge,) = lab.postern_pids('postern-edge')
        tracer = lab.start('srv', 'strace', '-f', '-e', 'trace=fdatasync', '-e', 'inject=fdatasync:error=EIO', '-o', lab.path('trace'), '-p', str(edge),
                           stderr=open(lab.path('strace.err'), 'wb'))
        wait_for('strace', lambda: os.path.getsize(lab.path('strace.err')) > 0)
        expect(not try_mail(client, 'lost', BODY), 'a 250 without a sync')
        expect(not try_mail(client, 'lost', BODY), 'a 250 without a sync')
        # The next try to open the spool meets the same disk.
        wait_for('a second failed sync', lambda: open(lab.path('trace')).read().count('INJECTED') >= 2, 10)
        expect(not try_mail(client, 'lost', BODY), 'a 250 without a sync')
        tracer.send_signal(signal.SIGTERM)
        tracer.wait(10)
        wait_for('mail to be taken again', lambda: try_mail(client, 'after', BODY), 10)
        check_arrivals(sink, ['before', 'after'])
        expect(says(lab, 'cannot sync') and says(lab, 'Input/output error'), 'the log does not name the error')
        expect(lab.postern_pids() == pids, 'a process died')
        expect(len(os.listdir(lab.path('spool/segments'))) <= 3, 'each try left a segment behind')


def test_directory_not_ours_is_named():
    with Lab() as lab:
        os.mkdir(lab.path('spool/segments'), 0o700)
        try:
            lab.start_postern()
        except Failed:
            pass
        else:
            raise Failed('posternd is ready with a spool it may not write')
        expect(says(lab, f'cannot open {lab.path("spool/segments")}: Permission denied'), 'the log does not name path and error')
