# SPDX-License-Identifier: LGPL-2.1-or-later
"""Take apart what a guest prints (tests/host/guest-init) as it comes.

Usage: guest-results.py FOLDER <OUTPUT

Prints a line per test, and the output of those that fail. FOLDER gets the
guest's files and testlog.json, in the form of meson's, for count-results.py.
"""
import json
import os
import sys


class Log:
    """One line per test, for people and, as JSON, for count-results.py."""

    def __init__(self, path):
        self.file = open(path, 'w', encoding='utf-8')

    def add(self, name, result, output, note=''):
        json.dump({'name': name, 'result': result, 'stdout': output},
                  self.file)
        self.file.write('\n')
        self.file.flush()
        print(f'{name:<28} {result:<5} {note}'.rstrip(), flush=True)
        if result != 'OK':
            print(output, flush=True)


class Guest:
    """Where the guest is: in a test, in a file, or between them."""

    def __init__(self, folder, log):
        self.folder, self.log = folder, log
        self.test = self.file = None
        self.output = []
        self.complaints = []
        self.tests = 0
        self.done = False

    def begin(self, name):
        self.test, self.output = name, []

    def end(self, name, status, seconds):
        self.log.add(name, 'OK' if status == '0' else 'FAIL',
                     '\n'.join(self.output),
                     f'{seconds} s' if status == '0' else
                     f'{seconds} s, exit status {status}')
        self.test = None
        self.tests += 1

    def open_file(self, name):
        self.file = open(os.path.join(self.folder, os.path.basename(name)),
                         'w', encoding='utf-8')

    def line(self, line):
        word, *rest = line.split(' ') if line.startswith('GUEST-') else ['']
        if self.file and word != 'GUEST-EOF':
            self.file.write(line + '\n')
        elif self.file:
            self.file.close()
            self.file = None
        elif word == 'GUEST-BEGIN':
            self.begin(*rest)
        elif word == 'GUEST-END':
            self.end(*rest)
        elif word == 'GUEST-KERNEL':
            self.complaints.append(' '.join(rest))
        elif word == 'GUEST-FILE':
            self.open_file(*rest)
        elif word == 'GUEST-EXIT':
            self.done = True
        elif self.test:
            self.output.append(line)

    def finish(self):
        """What is the guest's own: no test of a program can say it."""
        if self.test:
            self.log.add(self.test, 'FAIL', '\n'.join(self.output),
                         'has not ended')
        elif not self.done:
            self.log.add('guest', 'FAIL', '', 'has not come to its end')
        if self.complaints:
            self.log.add('kernel-log', 'FAIL', '\n'.join(self.complaints),
                         'the kernel complained')
        elif self.done and self.tests:
            self.log.add('kernel-log', 'OK', '', 'no complaint')


def main(folder):
    guest = Guest(folder, Log(os.path.join(folder, 'testlog.json')))
    sys.stdin.reconfigure(encoding='utf-8', errors='replace', newline='\n')
    for line in sys.stdin:
        guest.line(line.rstrip('\r\n'))
    guest.finish()


main(sys.argv[1])
