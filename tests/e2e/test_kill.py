"""kill -9 of each process under load: whatever got a 250 arrives; and it arrives once, but in the moment of the kill."""
import collections
import os
import random
import signal
import threading
import time

import lab as lab_module
from client import Client, message
from lab import RELAY, Failed, Lab, expect, wait_for
from sink import Sink

SENDERS = 8


class Load:
    """Clients that send until told to stop, and the list of what got a 250."""

    def __init__(self, lab):
        self.lab, self.stop, self.lock = lab, threading.Event(), threading.Lock()
        self.acknowledged, self.tried = {}, 0
        self.threads = [threading.Thread(target=self.run, args=(i,), daemon=True) for i in range(SENDERS)]
        for t in self.threads:
            t.start()

    def run(self, index):
        rng, number = random.Random(index), 0
        while not self.stop.is_set():
            try:
                client = Client(self.lab.connect('web', RELAY, timeout=5))
                client.hello()
                for _ in range(20):
                    if self.stop.is_set():
                        break
                    number += 1
                    name = f'{index}-{number}'
                    data = message(rng.choice((100, 2000, 20000, 200000)), name, seed=rng.randbytes)
                    self.tried += 1
                    client.send_mail('a@neulan.net', [f'{name}@example.com'], data)
                    with self.lock:
                        self.acknowledged[name] = data
                client.quit()
            except (OSError, Failed):
                time.sleep(0.05)

    def finish(self):
        self.stop.set()
        for t in self.threads:
            t.join(20)


def count_arrivals(sink, load):
    seen = collections.Counter()
    for mail in list(sink.mails):
        name = mail.recipients[0].split('@')[0]
        seen[name] += 1
        wanted = load.acknowledged.get(name)
        expect(wanted is None or mail.body_from(b'X-Test: ') == wanted, f'{name} changed on its way')
    return seen


def check(sink, load):
    wait_for('everything acknowledged', lambda: not load.acknowledged.keys() - {m.recipients[0].split('@')[0] for m in list(sink.mails)},
             60, 0.5)
    seen = count_arrivals(sink, load)
    twice = sum(n - 1 for name, n in seen.items())
    print(f'      | {load.tried} sent, {len(load.acknowledged)} acknowledged, 0 missing, {twice} came more than once, '
          f'{len(seen.keys() - load.acknowledged.keys())} came whose 250 was lost', flush=True)
    return twice


def kill_under_load(program, restart=False, rounds=3):
    """program: whose processes, None: all, at once."""
    rounds = 10 if lab_module.FULL else rounds
    with Lab() as lab:
        sink = Sink(lab)
        lab.start_postern()
        load = Load(lab)
        for _ in range(rounds):
            time.sleep(random.uniform(0.5, 1.5))
            before = len(load.acknowledged)
            for pid in lab.postern_pids(program):
                os.kill(pid, signal.SIGKILL)
            if restart:
                lab.posternd.wait(5)
                lab.start_postern()
            wait_for(f'service after the kill of {program or "all"}', lambda: len(load.acknowledged) > before + 5, 20)
        load.finish()
        twice = check(sink, load)
        # At most what was under way to the next hop can come again: one mail for each delivery connection and kill.
        expect(twice <= 20 * rounds, f'{twice} duplicates')
        if not restart:
            with open(lab.path('posternd.err')) as f:
                text = f.read()
            expect(text.count(f'{program} (pid') >= rounds and 'killed by signal 9' in text, 'the log does not say why it died')
            expect(lab.stop_postern() == 0, 'no orderly stop afterwards')


def test_postern_edge():
    kill_under_load('postern-edge')


def test_postern_deliver():
    kill_under_load('postern-deliver')


def test_posternd():
    kill_under_load('posternd', restart=True)


def test_all_processes_at_once():
    kill_under_load(None, restart=True, rounds=2)


def test_stop_under_load():
    """An orderly stop loses nothing, and sends nothing twice."""
    with Lab() as lab:
        sink = Sink(lab)
        lab.start_postern()
        load = Load(lab)
        for _ in range(10 if lab_module.FULL else 2):
            time.sleep(random.uniform(0.5, 1.5))
            before = len(load.acknowledged)
            began = time.monotonic()
            expect(lab.stop_postern() == 0, 'exit status of a stop under load')
            print(f'      | stopped after {time.monotonic() - began:.1f} s', flush=True)
            expect(not lab.postern_pids(), f'left behind: {lab.postern_pids()}')
            expect(len(load.acknowledged) > 10, 'there was no load')
            lab.start_postern()
            wait_for('service after a stop', lambda: len(load.acknowledged) > before + 5, 20)
        load.finish()
        twice = check(sink, load)
        expect(twice == 0, f'{twice} duplicates though every process ended in order')


def time_back(lab, program):
    (pid,) = lab.postern_pids(program)
    with open(lab.path('posternd.err')) as f:
        text = f.read()
    os.kill(pid, signal.SIGKILL)
    killed = time.monotonic()

    def back():
        with open(lab.path('posternd.err')) as f:
            return f'{program} is back (ready)' in f.read()[len(text):]
    wait_for(f'{program} back', back, 8, 0.01)
    return time.monotonic() - killed


def machine_ticks():
    """(busy, all) of all CPUs since boot."""
    with open('/proc/stat') as f:
        fields = [int(n) for n in f.readline().split()[1:9]]
    return sum(fields) - fields[3] - fields[4], sum(fields)


def load_before(seconds=1.0):
    """Share of the machine that is busy before anything of ours runs."""
    busy, total = machine_ticks()
    time.sleep(seconds)
    busy, total = machine_ticks()[0] - busy, machine_ticks()[1] - total
    return busy / max(1, total)


def test_child_is_back_within_a_second():
    """Three tries, each on a fresh server, as a second death within ten seconds waits on purpose. A machine that others keep
    busy says nothing about us: then the figure is printed, and the test is skipped."""
    for program in ('postern-edge', 'postern-deliver'):
        took, load = [], []
        while not took or (min(took) >= 1.0 and len(took) < 3):
            load.append(load_before())
            with Lab() as lab:
                lab.start_postern()
                took.append(time_back(lab, program))
        print(f'      | {program} was back after {min(took):.2f} s, load before {min(load):.2f}', flush=True)
        if min(took) >= 1.0 and min(load) > 0.3:
            raise lab_module.Skipped(f'the machine is busy with other things: {load}')
        expect(min(took) < 1.0, f'{program} was back after {took}')
