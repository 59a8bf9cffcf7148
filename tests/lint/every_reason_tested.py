#!/usr/bin/env python3
"""A row of an error or drop list that no test names is a guess."""
import os
import re

import tree

LISTS = {'dataplane/base/err.def': 'ERR', 'dataplane/base/drop.def': 'DROP'}

tests = '\n'.join(tree.read(path) for path in tree.files('.c', '.h', '.py', '.smtp', '.txt', under='tests')
                  if not path.startswith('tests/lint/'))
words = set(re.findall(r'\w+', tests))
# A dialogue says what the stack made of a segment as `drop tcp_ack`; it fails when that is not so.
for path in tree.files('.dialog', under='tests/dialog'):
    words |= {'DROP_' + name.upper() for name in re.findall(r'^drop (\w+)$', tree.read(path), re.M)}
code = '\n'.join(tree.code(path) for path in tree.product('.c', '.h'))
used = set(re.findall(r'\w+', code))
problems = []
for path, prefix in LISTS.items():
    for name in re.findall(rf'^{prefix}\((\w+),', tree.read(path), re.M):
        symbol = f'{prefix}_{name}'
        if symbol not in used:
            problems.append(f'{path}: {symbol} is given by no code')
        elif symbol not in words:
            problems.append(f'{path}: {symbol} is provoked by no test')
tree.finish(problems)
