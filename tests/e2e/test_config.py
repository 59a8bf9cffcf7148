"""posternd --check: all mistakes, each with its place."""
import re
import subprocess
import tempfile

from lab import BUILD, ROOT, expect

FIVE = '''\
dataplane: {workers: [1], poll: sometimes}
ports:
  - device: net_af_packet0,iface=edge0
    addresses: [10.12.170.5/24]
own_networks: [10.12.0.1/16]
spool: /var/spool/postern
colour: blue
routes: [{domains: ["*"], to: ["10.12.170.30:25"]}]
virtual_servers:
  - name: default
    listen: [10.12.170.5, 10.12.170.6]
    local_domains: ["com"]
'''


def check(path):
    return subprocess.run([f'{BUILD}/posternd', '--config', path, '--check'], capture_output=True, text=True, timeout=20)


def test_five_mistakes_are_five_lines():
    with tempfile.NamedTemporaryFile('w', suffix='.yaml') as f:
        f.write(FIVE)
        f.flush()
        done = check(f.name)
        lines = (done.stdout + done.stderr).strip().splitlines()
        expect(done.returncode == 1, f'exit {done.returncode}')
        places = [tuple(map(int, re.match(re.escape(f.name) + r':(\d+):(\d+): ', line).groups())) for line in lines]
        expect([p[0] for p in places] == [1, 5, 7, 11, 12], f'{lines}')


def test_example_is_good():
    done = check(f'{ROOT}/config/example.yaml')
    expect((done.returncode, done.stdout) == (0, ''), done.stdout + done.stderr)


def test_start_with_a_bad_file_is_refused():
    with tempfile.NamedTemporaryFile('w', suffix='.yaml') as f:
        f.write(FIVE)
        f.flush()
        done = subprocess.run([f'{BUILD}/posternd', '--config', f.name], capture_output=True, text=True, timeout=20)
        expect(done.returncode == 1 and ':7:1: ' in done.stdout + done.stderr, f'{done}')
