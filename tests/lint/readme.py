#!/usr/bin/env python3
"""Every directory says what it is for, in 100 lines at most; what a page links to exists."""
import os
import re

import tree

LINES = 100
# Folders of data, described by the page above them.
DATA = re.compile(r'tests/(fuzz/seeds|golden|dialog/[^/]+|.*/data)(/|$)|bench/results/')
# Tables with a row for each thing there is.
LEDGER = re.compile(r'tests/dialog/[a-z0-9-]+\.md$')

problems = []
folders = {os.path.dirname(f) for f in tree.files()}
folders |= {os.path.dirname(f) for f in folders if f}
for folder in sorted(folders):
    page = os.path.join(folder, 'README.md')
    if folder.startswith('.ci') or DATA.match(folder):
        continue
    if not os.path.exists(os.path.join(tree.ROOT, page)):
        problems.append(f'{folder or "."}: no README.md')
for page in tree.files('.md'):
    text = tree.read(page)
    lines = text.count('\n')
    if page != 'README.md' and lines > LINES and not LEDGER.match(page):
        problems.append(f'{page}: {lines} lines (cap {LINES})')
    for link in re.findall(r'\]\(([^)#\s]+)', text):
        if re.match(r'[a-z]+:', link):
            continue
        if not os.path.exists(os.path.join(tree.ROOT, os.path.dirname(page), link)):
            problems.append(f'{page}: link to {link}, which does not exist')
tree.finish(problems)
