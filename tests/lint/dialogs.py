#!/usr/bin/env python3
"""Each dialogue is run and says what it shows; names that documents give to dialogues exist."""
import fnmatch
import os
import re

import tree

FOLDER = 'tests/dialog'
# "dialogue topic/name", also with an * at the end, in a README or a comment.
MENTION = re.compile(r'\bdialog(?:ue)?s? `?([a-z_0-9]+/[a-z_0-9]+\*?)')


def scripts():
    return {os.path.relpath(f, FOLDER)[:-len('.dialog')] for f in tree.files('.dialog', under=FOLDER)}


def listed():
    """What meson runs, in the order of its file."""
    names, topic = [], None
    for line in tree.read(f'{FOLDER}/meson.build').split('\n'):
        if head := re.match(r"  '(\w+)': \[", line):
            topic = head[1]
        elif topic and (entry := re.match(r"    '(\w+)',", line)):
            names.append(f'{topic}/{entry[1]}')
    return names


there, runs = scripts(), listed()
problems = [f'{FOLDER}/{name}.dialog: not in {FOLDER}/meson.build, so nobody runs it' for name in sorted(there - set(runs))]
problems += [f'{FOLDER}/meson.build: {name} has no script' for name in runs if name not in there]
problems += [f'{FOLDER}/meson.build: {a} stands before {b}' for a, b in zip(runs, runs[1:]) if a >= b]
for name in sorted(there):
    if not tree.read(f'{FOLDER}/{name}.dialog').startswith('# '):
        problems.append(f'{FOLDER}/{name}.dialog: no first line that says what it shows')
for topic in sorted({os.path.dirname(name) for name in there}):
    if not re.search(rf'^\| .*\b{topic}/', tree.read(f'{FOLDER}/README.md'), re.M):
        problems.append(f'{FOLDER}/README.md: topic {topic} is not in its table')
for path in tree.files('.md', '.c', '.h'):
    for name in MENTION.findall(tree.read(path)):
        if not fnmatch.filter(there, name):
            problems.append(f'{path}: names the dialogue {name}, which does not exist')
tree.finish(problems, f'dialogues {len(there)}')
