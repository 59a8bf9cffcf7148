#!/usr/bin/env python3
"""Some calls may stand in one place only."""
import re

import tree

# pattern, where it may stand (regular expression over paths), why
RULES = [
    (r'\brte_(eth|flow)_\w+\s*\(', r'dataplane/port\w*\.[ch]|bench/load/load_port\.c', 'one module knows the NIC'),
    (r'\brte_rcu_\w+\s*\(', r'dataplane/worker\.c|control/(reload|edge_main)\.c', 'one reader, one writer, one who makes it'),
    (r'\b(clock_gettime|gettimeofday|rte_rdtsc\w*|rte_get_\w*cycles|time)\s*\(',
     r'dataplane/worker\.c|control/.*|bench/.*', 'the clock is an argument'),
    # An immutable table is built off the lcores, by whoever calls class_table_build().
    (r'\b(malloc|calloc|realloc|strdup|strndup|free|aligned_alloc)\s*\(',
     r'control/.*|config/.*|bench/.*|dataplane/policy/class_(table|tree)\.c|dataplane/tls/tls_memory\.c',
     'not on the path of a packet; what OpenSSL takes is counted in one place'),
    (r'\b(printf|fprintf|puts|perror|syslog|vprintf|vfprintf)\s*\(', r'control/.*|config/.*|bench/.*',
     'workers write log records'),
    (r'\b(strcpy|strcat|sprintf|vsprintf|gets|atoi|atol|atoll|strtok|alloca|scanf|sscanf)\s*\(', r'nowhere',
     'unbounded, or no way to see an error'),
    (r'\b(system|popen)\s*\(', r'nowhere', 'no shell'),
    (r'\b(getaddrinfo|gethostbyname)\s*\(', r'control/(deliver|lookup)/.*', 'blocks; asks a resolver'),
    (r'\b(pthread_mutex_\w+|rte_spinlock_\w+|pthread_rwlock_\w+)\s*\(', r'control/.*|bench/.*', 'no lock on an lcore'),
]
# The only macros that may hide a return.
MACRO_RETURNS = re.compile(r'dataplane/base/err\.h$')

problems = []
for path in tree.product('.c', '.h'):
    for number, line in enumerate(tree.code(path).split('\n'), 1):
        for pattern, place, why in RULES:
            match = re.search(pattern, line)
            if match and not re.fullmatch(place, path):
                problems.append(f'{path}:{number}: {match.group(0).rstrip("( ")}: only in {place} ({why})')
        if re.search(r'\b(return|goto)\b.*\\$', line) and not MACRO_RETURNS.match(path):
            problems.append(f'{path}:{number}: a macro that hides a return or a goto')
tree.finish(problems)
