"""What every lint needs: the files of the project, C text without comments and strings, one way to report."""
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SKIP = re.compile(r'^(build(-.*)?|node_modules|__pycache__|\.(?!ci$).*)$')


def files(*suffixes, under=''):
    """Paths relative to the root, sorted; suffixes () means all."""
    found = []
    for folder, folders, names in os.walk(os.path.join(ROOT, under)):
        folders[:] = sorted(f for f in folders if not SKIP.match(f))
        for name in sorted(names):
            if name == '.git':
                continue  # a work tree's
            if not suffixes or name.endswith(suffixes):
                found.append(os.path.relpath(os.path.join(folder, name), ROOT))
    return found


def product(*suffixes):
    return [f for f in files(*suffixes) if not f.startswith('tests/')]


def read(path):
    with open(os.path.join(ROOT, path), encoding='utf-8', errors='replace') as f:
        return f.read()


_TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def code(path):
    """C text with comments blanked and literals emptied; line numbers stay."""
    def blank(match):
        text = match.group(0)
        kept = '""' if text[0] == '"' else "''" if text[0] == "'" else ''
        return kept + '\n' * text.count('\n')
    # An #include's path is no string to lose.
    lines = read(path).split('\n')
    text = '\n'.join('' if re.match(r'\s*#\s*include', line) else line for line in lines)
    return _TOKEN.sub(blank, text)


def finish(problems, summary=''):
    for problem in problems:
        print(problem)
    if summary:
        print(summary)
    sys.exit(1 if problems else 0)
