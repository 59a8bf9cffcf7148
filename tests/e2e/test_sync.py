"""Every 250 after the last dot leaves after the sync that covers it, seen from outside: in the system calls of postern-edge and on the wire.

strace writes when each fdatasync of a segment returned; the client notes when each 250 reached it, by the same clock. The client sends
one mail after the other, so for mail n the octets are complete no earlier than its final dot was sent: between that moment and
the 250 a sync of the segment must have begun and ended. A 250 without one is a lie about the disk. As a control, the same check on
the list with every sync taken out must fail for every mail.
"""
import re
import shutil
import time

from client import message, session
from lab import RELAY, Lab, Skipped, expect, wait_for
from sink import Sink

MAILS = 60
CALL = re.compile(r'^(\d+) +([\d.]+) (?:<\.\.\. )?(fdatasync|fsync)(?:\(\d+)?(.*)$', re.M)


def syncs_of(trace):
    """[(began, ended)] of all data syncs that succeeded."""
    found, begun = [], {}
    for pid, when, call, rest in CALL.findall(trace):
        if call != 'fdatasync':
            continue
        if 'unfinished' in rest:
            begun[pid] = float(when)
        elif 'resumed' in rest:
            if rest.rstrip().endswith('= 0') or '= 0 <' in rest:
                found.append((begun.pop(pid), float(when)))
        elif '= 0' in rest:
            took = re.search(r'<([\d.]+)>', rest)
            found.append((float(when), float(when) + float(took.group(1))))
    return found


def uncovered(mails, syncs):
    return [n for n, (dot, answer) in enumerate(mails) if not any(dot <= began and ended <= answer for began, ended in syncs)]


def test_each_250_follows_its_sync():
    if not shutil.which('strace'):
        raise Skipped('strace is not installed')
    with Lab() as lab:
        Sink(lab)
        lab.start_postern()
        (edge,) = lab.postern_pids('postern-edge')
        trace = lab.path('trace')
        tracer = lab.start('srv', 'strace', '-f', '-ttt', '-T', '-e', 'trace=fdatasync,fsync', '-o', trace, '-p', str(edge))
        time.sleep(1)
        client = session(lab, 'web', RELAY)
        mails = []
        for n in range(MAILS):
            data = message((200, 5000, 40000)[n % 3], n)
            client.say('MAIL FROM:<a@neulan.net>', '250')
            client.say('RCPT TO:<b@example.com>', '250')
            client.say('DATA', '354')
            dot = time.time()
            client.send_data(data)
            mails.append((dot, time.time()))
        client.quit()
        tracer.terminate()
        tracer.wait(10)
        with open(trace) as f:
            syncs = wait_for('a trace', lambda: syncs_of(f.read()))
        missing = uncovered(mails, syncs)
        expect(not missing, f'250 before its sync for mails {missing} of {MAILS}; {len(syncs)} syncs')
        expect(len(uncovered(mails, [])) == MAILS, 'the check cannot fail')
        print(f'      | {MAILS} mails, {len(syncs)} syncs seen', flush=True)
