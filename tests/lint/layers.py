#!/usr/bin/env python3
"""Who may include whom. A word missing in this table is a dependency nobody decided on."""
import os
import re

import tree

# layer: the layers its files may include, beside itself
ALLOWED = {
    'base': '',
    'net': 'base',
    'tcp': 'base net',
    'smtp': 'base',
    'tls': 'base',
    # Certificates and handshake threads: the same OpenSSL, where it may block.
    'handshake': 'base config tls',
    'config': 'base',
    'policy': 'base config',
    'spool': 'base',
    'supervise': 'base config handshake',
    # The worker joins them; of the spool it sees the contract of the writer's rings only.
    'dataplane': 'base net tcp smtp config policy spool tls',
    # Of postern-lookup: how to ask it.
    'control': 'base net smtp config policy dataplane spool supervise lookup tls handshake',
    'lookup': 'base config supervise',
    # Of postern-lookup it sees the records only.
    'deliver': 'base config spool supervise lookup',
    # posternctl answers from a file with the very code the server answers with.
    'ctl': 'base config policy control',
    'bench': 'base net tcp smtp config policy spool dataplane',
}
BY_FOLDER = {
    'dataplane/base': 'base', 'dataplane/net': 'net', 'dataplane/tcp': 'tcp', 'dataplane/smtp': 'smtp',
    'dataplane/policy': 'policy', 'dataplane/tls': 'tls', 'control/tls': 'handshake', 'dataplane': 'dataplane', 'config': 'config', 'control': 'control',
    'control/spool': 'spool', 'control/supervise': 'supervise', 'control/deliver': 'deliver', 'control/lookup': 'lookup',
    'control/ctl': 'ctl', 'bench': 'bench',
}


def layer(path):
    folder = os.path.dirname(path)
    while folder and folder not in BY_FOLDER:
        folder = os.path.dirname(folder)
    return BY_FOLDER.get(folder)


def target(path, name):
    for base in (os.path.dirname(path), '', 'dataplane', 'control'):
        candidate = os.path.normpath(os.path.join(base, name))
        if os.path.exists(os.path.join(tree.ROOT, candidate)):
            return candidate
    return None


problems = []
for path in tree.product('.c', '.h'):
    mine = layer(path)
    if mine is None:
        problems.append(f'{path}: belongs to no layer')
        continue
    for number, line in enumerate(tree.read(path).split('\n'), 1):
        match = re.match(r'\s*#\s*include\s*"([^"]+)"', line)
        if not match:
            continue
        found = target(path, match.group(1))
        if found is None:
            problems.append(f'{path}:{number}: no such file in the project: {match.group(1)}')
        elif layer(found) not in (mine, *ALLOWED[mine].split()):
            problems.append(f'{path}:{number}: {mine} must not include {found}')
tree.finish(problems)
