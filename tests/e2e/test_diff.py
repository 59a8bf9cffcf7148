"""Our TCP and the kernel's answer the same segments alike (tests/diff)."""
import glob
import os
import subprocess

import lab
from lab import expect


def test_linux_answers_alike():
    program = os.path.join(lab.BUILD, 'tests/diff/tcp_diff')
    dialogues = sorted(glob.glob(os.path.join(lab.ROOT, 'tests/dialog/*/*.dialog')))
    seconds = 300 if lab.FULL else 5
    done = subprocess.run([program, '--seconds', str(seconds), *dialogues], capture_output=True, text=True, check=False,
                          timeout=seconds + 120)
    if done.returncode == 77:
        raise lab.Skipped(done.stderr.strip())
    expect(done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:])
    compared = int(done.stdout.split(' steps compared')[0].split()[-1])
    expect(compared > 5000, f'only {compared} steps compared')
