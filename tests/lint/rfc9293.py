#!/usr/bin/env python3
"""tests/dialog/rfc9293.md has each row of appendix B of RFC 9293, and what it names exists."""
import collections
import os
import re

import tree

PAGE = 'tests/dialog/rfc9293.md'
# Rows of the appendix; those it has more than once.
ROWS = collections.Counter(
    [f'MUST-{n}' for n in range(1, 70)] + [f'SHLD-{n}' for n in range(1, 32)] + [f'MAY-{n}' for n in range(1, 19)] + ['REC-1'])
ROWS.update(['SHLD-5', 'MUST-15', 'MUST-20', 'MUST-46', 'MUST-57', 'MUST-56', 'MUST-56'])

CODE = re.compile(r'`([^`]+)`')
sources = {}
for path in tree.files('.c'):
    sources.setdefault(os.path.basename(path), []).append(path)


def has_function(file, function):
    """Defined there: the name at the head of a line that is no declaration, or as an argument of cmocka's macro."""
    head = re.compile(rf'^[a-z][^;{{}}=#]*\b{function}\([^;{{}}]*\)\s*\{{', re.M)
    return any(head.search(tree.read(path)) for path in sources.get(file, []))


def names_of(row, cell):
    for name in CODE.findall(cell):
        if ':' in name:
            file, function = name.split(':', 1)
            if not has_function(file, function):
                problems.append(f'{PAGE}: {row}: {name} does not exist')
            yield name
        elif re.fullmatch(r'[a-z0-9_]+/[a-z0-9_]+', name):
            if not os.path.exists(os.path.join(tree.ROOT, f'tests/dialog/{name}.dialog')):
                problems.append(f'{PAGE}: {row}: there is no dialogue {name}')
            yield name
        else:
            problems.append(f'{PAGE}: {row}: {name} is neither file:function nor topic/name')


problems, seen, done = [], collections.Counter(), 0
for line in tree.read(PAGE).split('\n'):
    cells = [cell.strip() for cell in line.strip('|').split('|')]
    if not re.match(r'(MUST|SHLD|MAY|REC)-\d+$', cells[0]):
        continue
    if len(cells) != 4:
        problems.append(f'{PAGE}: {cells[0]}: {len(cells)} cells')
        continue
    row, what, where, shown = cells
    seen[row] += 1
    is_not = where.startswith('no: ')
    functions, tests = list(names_of(row, where)), list(names_of(row, shown))
    done += not is_not
    if not what or not (is_not or functions):
        problems.append(f'{PAGE}: {row}: says neither who does it nor why not')
    if not is_not and not tests:
        problems.append(f'{PAGE}: {row}: no test shows it')
for row in sorted(ROWS.keys() | seen.keys()):
    if ROWS[row] != seen[row]:
        problems.append(f'{PAGE}: {row} stands there {seen[row]} times, the appendix has it {ROWS[row]} times')
tree.finish(problems, f'requirements {sum(seen.values())}, done {done}')
