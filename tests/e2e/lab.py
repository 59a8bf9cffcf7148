"""A small world of network namespaces with one Postern in it.

    net   a Linux router, 10.12.170.1 on the bridge `lan`; one leg to each client outside the LAN
    srv   posternd: edge0 (the DPDK port, on the LAN, no kernel address) and mgmt0, 10.12.170.9, for delivery
    hop   the next hop, 10.12.170.30
    ...   one namespace for each client, see CLIENTS

Everything a Lab starts or makes carries its name and ends with it, after a failure too; what an interrupted run left
behind is removed by the next.
"""
import contextlib
import ctypes
import glob
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get('POSTERN_BUILD', os.path.join(ROOT, 'build')))
PREFIX = 'postern-e2e'
USER = 'nobody'

DEFAULT, RELAY = '10.12.170.5', '10.12.170.74'
HOP = '10.12.170.30'
DEFAULT6, RELAY6 = '2001:db8:12::5', '2001:db8:12::74'
# name: (address, how far away)
CLIENTS = {
    'web': ('10.12.170.20', 'lan'),        # in the relay list
    'farm': ('10.12.8.15', 'routed'),      # in a subnet of the relay list
    'vpn': ('10.200.3.4', 'routed'),       # may connect, may not relay
    'internet': ('198.51.100.7', 'routed'),
}
# with v6=True each has one of these as well; net is 2001:db8:12::1 on the LAN
CLIENTS6 = {'web': '2001:db8:12::20', 'farm': '2001:db8:12:8::15', 'vpn': '2001:db8:200::4', 'internet': '2001:db8:ffff::7'}

_libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000


class Failed(Exception):
    """An expectation of a test that did not hold."""


class Skipped(Exception):
    """A test that cannot be done here, and why."""


FULL = False  # --full: the long versions


def expect(condition, what):
    if not condition:
        raise Failed(what)


def wait_for(what, probe, seconds=10.0, step=0.05):
    """The first true value of probe(), or a failure that names what was waited for."""
    end = time.monotonic() + seconds
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() > end:
            raise Failed(f'{what}: not within {seconds:g} s')
        time.sleep(step)


def ip(*words, netns=None, check=True):
    command = ['ip'] + (['-n', netns] if netns else []) + [str(w) for w in words]
    done = subprocess.run(command, capture_output=True, text=True)
    if check and done.returncode:
        raise Failed(f'{" ".join(command)}: {done.stderr.strip()}')
    return done.stdout


def enter(netns):
    fd = os.open(f'/var/run/netns/{netns}' if netns else '/proc/1/ns/net', os.O_RDONLY)
    try:
        if _libc.setns(fd, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), 'setns')
    finally:
        os.close(fd)


def remove_namespace(name):
    for sig in (signal.SIGTERM, signal.SIGKILL):
        pids = [int(p) for p in ip('netns', 'pids', name, check=False).split()]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sig)
        end = time.monotonic() + 3
        while pids and time.monotonic() < end and ip('netns', 'pids', name, check=False).split():
            time.sleep(0.05)
    ip('netns', 'del', name, check=False)


def sweep_stale():
    """Namespaces of runs whose process is gone."""
    for name in re.findall(rf'^({PREFIX}-(\d+)-\S+)', ip('netns', 'list'), re.M):
        if not os.path.exists(f'/proc/{name[1]}'):
            remove_namespace(name[0])
    for path in glob.glob(os.path.join(tempfile.gettempdir(), f'{PREFIX}-*')):
        pid = path.split('-')[2]
        if pid.isdigit() and not os.path.exists(f'/proc/{pid}'):
            shutil.rmtree(path, ignore_errors=True)


def default_config(lab):
    """The reference deployment, as a tree; JSON is YAML."""
    config = {
        'dataplane': {'workers': lab.workers, 'poll': 'adaptive', 'memory': '256MiB', 'huge_pages': 'no'},
        'control': {'socket': lab.path('control.sock'), 'user': USER},
        'ports': [{'device': lab.device, 'addresses': [f'{DEFAULT}/24', f'{RELAY}/24'], 'gateway': '10.12.170.1'}],
        'own_networks': ['10.12.0.0/16', '10.200.0.0/16'],
        'spool': lab.path('spool'),
        'routes': [{'domains': ['*'], 'to': [f'{HOP}:25']}],
        'delivery': {'concurrency': 20, 'retry_first': '1s', 'retry_max': '2s', 'expire': '1h'},
        'virtual_servers': [
            {'name': 'default', 'listen': [DEFAULT], 'fqdn': 'mail.neulan.net', 'local_domains': ['neulan.net'],
             'relay': {'only': [], 'authenticated': False}, 'log': {'file': lab.path('log/default.log'), 'format': 'w3c'}},
            {'name': 'relay', 'listen': [RELAY], 'fqdn': 'smtp-relay.neulan.net', 'local_domains': ['neulan.net'],
             'connections': {'only': ['10.200.0.0/16', '10.12.0.0/16'], 'refuse': 'reset'},
             'relay': {'only': ['10.12.170.20', '10.12.8.0/24']},
             'log': {'file': lab.path('log/relay.log'), 'format': 'w3c'}},
        ],
        'guarantees': [{'vserver': 'default', 'relays_without_login': 'nobody'}],
    }
    if lab.v6:
        add_v6(config)
    return config


def add_v6(config):
    """The same story over IPv6: web and farm relay, vpn may connect, the Internet may not."""
    config['ports'][0]['addresses'] += [f'{DEFAULT6}/64', f'{RELAY6}/64']
    config['ports'][0]['gateway'] = ['10.12.170.1', '2001:db8:12::1']
    config['own_networks'] += ['2001:db8:12::/48', '2001:db8:200::/48']
    default, relay = config['virtual_servers']
    default['listen'].append(DEFAULT6)
    relay['listen'].append(f'[{RELAY6}]:25')
    relay['connections']['only'] += ['2001:db8:12::/48', '2001:db8:200::/48']
    relay['relay']['only'] += [CLIENTS6['web'], '2001:db8:12:8::/64']


class Lab:
    """with Lab() as lab: ...  device: af_packet, af_xdp or tap; workers: CPU numbers."""

    def __init__(self, device='af_packet', workers=(1,), clients=CLIENTS, configure=None, v6=False):
        self.kind = device
        self.device = {'af_packet': 'net_af_packet0,iface=edge0', 'af_xdp': 'net_af_xdp0,iface=edge0',
                       'tap': 'net_tap0,iface=edge0'}[device]
        self.workers = list(workers)
        self.v6 = v6
        self.clients = clients
        self.name = f'{PREFIX}-{os.getpid()}'
        self.spaces, self.children, self.closers = [], [], []
        self.posternd = None
        self.dir = None
        self._configure = configure

    # --- life

    def __enter__(self):
        sweep_stale()
        self.dir = tempfile.mkdtemp(prefix=f'{self.name}-')
        os.chmod(self.dir, 0o755)
        try:
            for name in ('spool', 'log'):
                os.mkdir(self.path(name))
                shutil.chown(self.path(name), USER)
            self._wire()
            self.config = default_config(self)
            if self._configure:
                self._configure(self.config)
            self.write_config()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind, error, trace):
        if error is not None and self.dir:
            self.show()
        for close in reversed(self.closers):
            with contextlib.suppress(Exception):
                close()
        for child in reversed(self.children):
            if child.poll() is None:
                child.terminate()
        for child in reversed(self.children):
            try:
                child.wait(5)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        for space in reversed(self.spaces):
            remove_namespace(space)
        if self.dir and not (error is not None and os.environ.get('POSTERN_KEEP')):
            shutil.rmtree(self.dir, ignore_errors=True)

    def show(self):
        """What a failed test leaves to read."""
        for name in ('posternd.err', 'log/default.log', 'log/relay.log'):
            if os.path.exists(self.path(name)):
                with open(self.path(name), errors='replace') as f:
                    print(f'--- {name}\n' + ''.join(f.readlines()[-25:]), end='')

    def path(self, name):
        return os.path.join(self.dir, name)

    def space(self, short):
        return f'{self.name}-{short}'

    # --- network

    def _namespace(self, short):
        ip('netns', 'add', self.space(short))
        self.spaces.append(self.space(short))
        off = 0 if self.v6 else 1
        self.run(short, 'sysctl', '-qw', f'net.ipv6.conf.all.disable_ipv6={off}', f'net.ipv6.conf.default.disable_ipv6={off}')
        ip('link', 'set', 'lo', 'up', netns=self.space(short))

    def _veth(self, short, here, there, bridge=True, address=None):
        """A cable from interface `here` of namespace `short` to `there` in net; no checksum offload, so that frames are whole."""
        ip('link', 'add', here, 'netns', self.space(short), 'type', 'veth', 'peer', 'name', there, 'netns', self.space('net'))
        for space, name in ((short, here), ('net', there)):
            self.run(space, 'ethtool', '-K', name, 'tx', 'off', 'tso', 'off', 'gso', 'off', 'gro', 'off', check=False)
            ip('link', 'set', name, 'up', netns=self.space(space))
        if bridge:
            ip('link', 'set', there, 'master', 'lan', netns=self.space('net'))
        if address:
            ip('addr', 'add', address, 'dev', here, netns=self.space(short))

    def _wire_v6(self):
        net = self.space('net')
        self.run('net', 'sysctl', '-qw', 'net.ipv6.conf.all.forwarding=1')
        ip('addr', 'add', '2001:db8:12::1/64', 'dev', 'lan', 'nodad', netns=net)
        if self.kind != 'tap':
            self.run('srv', 'sysctl', '-qw', 'net.ipv6.conf.edge0.disable_ipv6=1')
        for number, (short, (_, where)) in enumerate(self.clients.items()):
            space, address = self.space(short), CLIENTS6[short]
            ip('addr', 'add', f'{address}/{64 if where == "lan" else 128}', 'dev', 'eth0', 'nodad', netns=space)
            if where != 'lan':
                ip('addr', 'add', f'fe80::1:{number}/64', 'dev', f'c{number}', 'nodad', netns=net)
                ip('route', 'add', f'{address}/128', 'dev', f'c{number}', netns=net)
                ip('route', 'add', 'default', 'via', f'fe80::1:{number}', 'dev', 'eth0', netns=space)

    def _wire(self):
        self._namespace('net')
        net = self.space('net')
        self.run('net', 'sysctl', '-qw', 'net.ipv4.ip_forward=1')
        ip('link', 'add', 'lan', 'type', 'bridge', netns=net)
        ip('addr', 'add', '10.12.170.1/24', 'dev', 'lan', netns=net)
        ip('link', 'set', 'lan', 'up', netns=net)
        self._namespace('srv')
        self._veth('srv', 'mgmt0', 'mgmt', address='10.12.170.9/24')
        if self.kind != 'tap':
            self._veth('srv', 'edge0', 'edge')
            # The port belongs to DPDK: the kernel behind it answers nothing there, ARP included.
            ip('link', 'set', 'edge0', 'arp', 'off', netns=self.space('srv'))
        self._namespace('hop')
        self._veth('hop', 'eth0', 'hop', address=f'{HOP}/24')
        for number, (short, (address, where)) in enumerate(self.clients.items()):
            self._namespace(short)
            if where == 'lan':
                self._veth(short, 'eth0', f'c{number}', address=f'{address}/24')
            else:
                self._veth(short, 'eth0', f'c{number}', bridge=False, address=f'{address}/32')
                ip('route', 'add', f'{address}/32', 'dev', f'c{number}', netns=net)
                ip('route', 'add', '10.12.170.1', 'dev', 'eth0', netns=self.space(short))
            if where != 'lan':
                ip('route', 'add', 'default', 'via', '10.12.170.1', netns=self.space(short))
        for short in ('srv', 'hop'):
            ip('route', 'add', 'default', 'via', '10.12.170.1', netns=self.space(short))
        if self.v6:
            self._wire_v6()

    def _wire_tap(self):
        """net_tap makes edge0 in srv at start: put it on the LAN by a bridge of its own there."""
        srv = self.space('srv')
        wait_for('edge0 made by net_tap', lambda: 'edge0' in ip('-o', 'link', netns=srv), 20)
        ip('link', 'add', 'tapbr', 'type', 'bridge', netns=srv)
        ip('link', 'add', 'up0', 'netns', srv, 'type', 'veth', 'peer', 'name', 'edge', 'netns', self.space('net'))
        for space, name in (('srv', 'up0'), ('net', 'edge')):
            self.run(space, 'ethtool', '-K', name, 'tx', 'off', 'tso', 'off', 'gso', 'off', 'gro', 'off', check=False)
            ip('link', 'set', name, 'up', netns=self.space(space))
        ip('link', 'set', 'edge', 'master', 'lan', netns=self.space('net'))
        for name in ('up0', 'edge0'):
            ip('link', 'set', name, 'master', 'tapbr', netns=srv)
        for name in ('edge0', 'tapbr'):
            ip('link', 'set', name, 'up', 'arp', 'off', netns=srv)

    def run(self, short, *command, check=True, timeout=60, **more):
        more.setdefault('stdin', subprocess.DEVNULL)
        if 'input' in more:
            more.pop('stdin')
        done = subprocess.run(['ip', 'netns', 'exec', self.space(short), *command], capture_output=True, timeout=timeout,
                              text=more.pop('text', True), **more)
        if check and done.returncode:
            raise Failed(f'{" ".join(command)}: exit {done.returncode}: {done.stderr or done.stdout}')
        return done

    def start(self, short, *command, **more):
        more.setdefault('stdin', subprocess.DEVNULL)
        child = subprocess.Popen(['ip', 'netns', 'exec', self.space(short), *command], **more)
        self.children.append(child)
        return child

    @contextlib.contextmanager
    def inside(self, short):
        """Sockets made in this block live in that namespace, also afterwards."""
        home = os.open('/proc/self/task/%d/ns/net' % _libc.gettid(), os.O_RDONLY)
        try:
            enter(self.space(short))
            yield
        finally:
            if _libc.setns(home, CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), 'setns')
            os.close(home)

    def connect(self, short, address=DEFAULT, port=25, timeout=15):
        with self.inside(short):
            sock = socket.socket(socket.AF_INET6 if ':' in address else socket.AF_INET)
        sock.settimeout(timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            sock.connect((address, port))
        except BaseException:
            sock.close()
            raise
        self.closers.append(sock.close)
        return sock

    # --- posternd

    def write_config(self, name='postern.yaml', text=None):
        with open(self.path(name), 'w') as f:
            f.write(text if text is not None else json.dumps(self.config, indent=1) + '\n')
        return self.path(name)

    def vserver(self, name):
        return next(v for v in self.config['virtual_servers'] if v['name'] == name)

    def start_postern(self, *prefix, ready=60):
        log = open(self.path('posternd.err'), 'ab')
        offset = log.tell()
        self.posternd = self.start('srv', *prefix, os.path.join(BUILD, 'posternd'), '--config', self.path('postern.yaml'),
                                   stdout=log, stderr=log)
        log.close()
        if self.kind == 'tap':
            self._wire_tap()

        def is_ready():
            if self.posternd.poll() is not None:
                raise Failed(f'posternd ended with {self.posternd.returncode} before it was ready')
            with open(self.path('posternd.err'), 'rb') as f:
                f.seek(offset)
                return b'posternd: ready' in f.read()
        wait_for('posternd: ready', is_ready, ready)
        return self.posternd

    def stop_postern(self, seconds=30):
        self.posternd.terminate()
        return self.posternd.wait(seconds)

    def postern_pids(self, name=None):
        """Processes of Postern in srv: {pid: program}."""
        found = {}
        for pid in ip('netns', 'pids', self.space('srv'), check=False).split():
            with contextlib.suppress(OSError):
                program = os.path.basename(os.readlink(f'/proc/{pid}/exe'))
                if program.startswith('postern') and name in (None, program):
                    found[int(pid)] = program
        return found

    def ctl(self, *words, check=True, timeout=30):
        done = subprocess.run([os.path.join(BUILD, 'posternctl'), '--socket', self.path('control.sock'), *words],
                              capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL)
        if check and done.returncode:
            raise Failed(f'posternctl {" ".join(words)}: exit {done.returncode}: {done.stderr}{done.stdout}')
        return done

    def ctl_json(self, *words, **more):
        return json.loads(self.ctl('--json', *words, **more).stdout)

    def log(self, vserver):
        with contextlib.suppress(FileNotFoundError), open(self.path(f'log/{vserver}.log'), errors='replace') as f:
            return f.read()
        return ''
