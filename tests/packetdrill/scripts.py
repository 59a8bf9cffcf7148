"""What packetdrill's scripts need to be changed for, and which of them ask for something that is not here. No text of
theirs: patterns over their lines, and what to put there. Written against google/packetdrill 2c4001c."""
import re

PREFACE = '''# packetdrill's own scripts against our TCP

github.com/google/packetdrill at 2c4001c, every script of gtests/net, through libpostern_packetdrill.so (../packetdrill/README.md), in
three modes: v4, v6, and v4 on a v6 socket. pass: as it is; edit: with the change named, made at run time by
`tests/packetdrill/run` from `tests/packetdrill/scripts.py`; n/a: it is about something that is not here; fail; -: not for this mode.
Scripts run their own `defaults.sh` and sysctls in a network namespace; the shared object reads those that mean something here.
`tests/packetdrill/run PACKETDRILL CHECKOUT/gtests/net` compares with this page, and with `--write` makes it.
'''

TFO = 'TCP Fast Open (RFC 7413) is not here: in SMTP the server speaks first'
ZEROCOPY = 'MSG_ZEROCOPY: completions on the error queue'
NOT_APPLICABLE = [
    (r'^psp/', 'PSP encryption of the kernel; packetdrill itself refuses it with a shared object'),
    (r'^tcp/fastopen/', TFO),
    (r'^tcp/syscall_bad_arg/fastopen-', TFO),
    (r'^tcp/zerocopy/fastopen-', TFO),
    (r'^tcp/zerocopy/', ZEROCOPY),
    (r'^tcp/timestamping/', 'SO_TIMESTAMPING: timestamps on the error queue'),
    (r'^tcp/eor/', 'MSG_EOR: where one buffer of the kernel ends, for the sake of SO_TIMESTAMPING'),
    (r'^tcp/sendfile/', 'sendfile(): packetdrill calls the kernel for it, not the shared object'),
    (r'^tcp/splice/', 'splice() stops at the urgent octet; here urgent octets are octets (RFC 6093)'),
    (r'^tcp/mtu_probe/', 'tcp_mtu_probing: probes with larger packets on a route whose MTU changes'),
    (r'^tcp/user_timeout/user-timeout-probe', 'a full qdisc, and the timer that Linux has for it'),
    (r'^tcp/gro/', 'the size of the segments in a packet that the kernel has put together (GRO)'),
    (r'^tcp/tcp_info/tcp-info-(rwnd|sndbuf)-limited', 'stop watches of TCP_INFO (tcpi_busy_time and its like)'),
]

# Tests of packetdrill itself: it is to fail, and to say this.
FAILS = {
    'packetdrill/tests/linux/packetdrill/socket_err.pkt':
        'Expected non-negative result but got -1 with errno 93 (Protocol not supported)',
    'packetdrill/tests/linux/packetdrill/socket_wrong_err.pkt':
        'Expected result -99 but got -1 with errno 93 (Protocol not supported)',
    # With a shared object packetdrill knows no time-out; the object says that nothing will come.
    'packetdrill/tests/packet-timeout.pkt': 'no packet will come',
}

PSH = 'PSH ends a burst here, not each packet that Linux hands to its driver at once'
REORDERING = 'without tcpi_reordering: RACK (RFC 8985) keeps a time, no count of segments'
EDITS = {
    'tcp/blocking/blocking-write.pkt': (
        'SO_SNDBUF counts octets here, not the memory that holds them', [
            (r'SO_SNDBUF,  \[21000\]', 'SO_SNDBUF,  [25000]'), (r'\[42000\]', '[50000]')]),
    'tcp/fast_recovery/prr-ss-30pkt-lost1_4.pkt': (PSH, [(42, r'> \. ', '> P. ')]),
    'tcp/inq/client.pkt': (
        'segments without the timestamp that was agreed on are dropped (RFC 7323 3.2): they get one', [
            (r'win 514$', 'win 514 <nop,nop,TS val 701 ecr 100>'),
            (r'(ack (?:10001|20002) <nop,nop,TS val 200) ecr 700', r'\1 ecr 701')]),
    'tcp/md5/md5-only-on-client-ack.pkt': (
        'without its look into /proc/net/tcp', [(r'`grep.*`', '`true`')]),
    'tcp/nagle/https_client.pkt': (PSH, [(r'> P(. 1543:2517)', r'> \1')]),
    'tcp/nagle/sockopt_cork_nodelay.pkt': (
        'PSH on the end of the queue, always', [(r'> (. 161:241)', r'> P\1')]),
    'tcp/sack/sack-route-refresh-ip-tos.pkt': (PSH, [(35, r'> P\. ', '> . ')]),
    'tcp/sack/sack-shift-sacked-2-6-8-3-9-nofack.pkt': (REORDERING, [(r'assert tcpi_reord\w+ == \d+', 'assert True')]),
    'tcp/sack/sack-shift-sacked-7-3-4-8-9-fack.pkt': (REORDERING, [(r'assert tcpi_reord\w+ == \d+', 'assert True')]),
    'tcp/syscall_bad_arg/sendmsg-empty-iov.pkt': (
        'SO_ZEROCOPY is refused', [(r'(SO_ZEROCOPY, \[1\], 4\)) = 0', r'\1 = -1 ENOPROTOOPT (Protocol not available)')]),
    'tcp/ts_recent/invalid_ack.pkt': (
        'an ACK of what was never sent is answered by an ACK (RFC 9293 3.10.7.4)', [
            (r'(.*< F. 1:1\(0\) ack 9999.*)', r'\1\n   +0 > . 1:1(0) ack 1 <nop,nop,TS val 200 ecr 200>')]),
}


def not_applicable(path):
    return next((why for pattern, why in NOT_APPLICABLE if re.search(pattern, path)), None)
