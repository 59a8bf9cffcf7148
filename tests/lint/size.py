#!/usr/bin/env python3
"""Caps on files, functions and parameters; prints how long functions are."""
import subprocess

import tree

FILE_LINES, FUNCTION_LINES, PARAMETERS = 600, 80, 5

problems = []
for path in tree.files('.c', '.h', '.py', '.sh'):
    lines = tree.read(path).count('\n')
    if lines > FILE_LINES:
        problems.append(f'{path}: {lines} lines (cap {FILE_LINES})')

listing = subprocess.run(
    ['ctags', '--languages=C', '--map-C=+.h', '--kinds-C=f', '--fields=+neS', '--sort=no', '-L', '-', '-f', '-'],
    input='\n'.join(tree.product('.c', '.h')), text=True, capture_output=True, check=True, cwd=tree.ROOT).stdout
sizes = []
for row in listing.splitlines():
    name, path, *rest = row.split('\t')
    field = dict(part.split(':', 1) for part in rest if ':' in part)
    lines = int(field['end']) - int(field['line']) + 1
    sizes.append(lines)
    if lines > FUNCTION_LINES:
        problems.append(f'{path}:{field["line"]}: {name}() has {lines} lines (cap {FUNCTION_LINES})')
    # A comma inside the brackets of a function pointer is not one of ours.
    depth, count = 0, 1
    for letter in field.get('signature', '()')[1:-1]:
        depth += (letter == '(') - (letter == ')')
        count += letter == ',' and depth == 0
    # What a library calls has the parameters the library wants; a comment above it says so.
    above = tree.read(path).split('\n')[int(field['line']) - 2]
    if count > PARAMETERS and "'s signature" not in above:
        problems.append(f'{path}:{field["line"]}: {name}() has {count} parameters (cap {PARAMETERS})')

sizes.sort()
at = lambda share: sizes[min(len(sizes) - 1, int(len(sizes) * share))] if sizes else 0
tree.finish(problems, f'functions {len(sizes)}, median {at(0.5)}, 95th percentile {at(0.95)}, longest {at(1)}')
