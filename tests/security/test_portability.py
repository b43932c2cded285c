"""What only POSIX has stands beside the Windows way, or nowhere. Nothing of the product was tried on Windows."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.az.test_imports import CLI_LAYER, READER

POSIX_MODULES = {'fcntl', 'grp', 'pty', 'pwd', 'resource', 'syslog', 'termios', 'tty'}
POSIX_NAMES = {
    'os': set(
        """O_CLOEXEC O_DIRECTORY O_NOCTTY O_NOFOLLOW O_SYNC chown fchdir fchmod fchown fork forkpty getegid
        geteuid getgid getpgid getpgrp getpriority getsid getuid killpg lchown mkfifo mknod nice pipe2 posix_fadvise
        posix_fallocate posix_spawn pread preadv pwrite pwritev sched_getaffinity sendfile setpgid setsid statvfs sync
        sysconf uname wait waitpid""".split()
    ),
    'signal': set(
        """SIGALRM SIGCHLD SIGCONT SIGHUP SIGKILL SIGPIPE SIGQUIT SIGSTOP SIGTSTP SIGUSR1 SIGUSR2 SIGWINCH
        alarm pause pthread_kill pthread_sigmask setitimer sigwait""".split()
    ),
    'time': {'clock_gettime', 'tzset'},
    'socket': {'AF_UNIX'},
    'select': {'epoll', 'kqueue', 'poll'},
}
BESIDE = {
    'files.py': (
        {'fcntl', 'os.pread', 'select.poll'},
        ('import msvcrt', "hasattr(os, 'pread')", "hasattr(select, 'poll')"),
    ),
    '_file_advice.py': ({'os.geteuid', 'pwd'}, ("if os.name == 'nt':",)),
    '_stdout.py': ({'select.poll'}, ("os.name == 'nt'", 'time.sleep(seconds)')),
}
"""Files where the Windows way stands beside it: what they may name, and the words of that way."""
PATHS = {'_output.py': {'/dev/', '/proc/'}, 'files.py': {'/proc/'}}
"""Files that know special paths, as patterns which no Windows path fits."""

FILES = pytest.mark.parametrize('path', [*CLI_LAYER, *READER], ids=lambda path: path.stem)


@FILES
def test_posix_names_stand_beside_the_windows_way(path: Path) -> None:
    allowed, words = BESIDE.get(path.name, (set(), ()))
    text = path.read_text('utf-8')
    assert posix_names(ast.parse(text)) == allowed
    assert all(word in text for word in words)


@FILES
def test_paths_of_posix_are_named_nowhere_else(path: Path) -> None:
    tree = ast.parse(path.read_text('utf-8'))
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and isinstance(node.body[0], ast.Expr)
    }
    named = {
        start
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings
        for start in ('/dev/', '/proc/', '/tmp/', '/etc/', '/var/', '/bin/')
        if start in node.value
    }
    assert named == PATHS.get(path.name, set())


@FILES
def test_text_files_have_their_encoding_and_bytes_their_flag(path: Path) -> None:
    """Windows has another encoding by default, and makes CR LF of line ends where O_BINARY is missing."""
    for node in ast.walk(ast.parse(path.read_text('utf-8'))):
        if not isinstance(node, ast.Call):
            continue
        name, call = ast.unparse(node.func), ast.unparse(node)
        if name == 'open':
            assert 'encoding=' in call or "'rb'" in call or "'wb'" in call, call
        if name == 'os.open' and 'O_RDWR' in call:
            assert 'O_BINARY' in call or '_BINARY' in call, call


def posix_names(tree: ast.AST) -> set[str]:
    """Modules that only POSIX has, and the names in others, as far as they are not asked for with `getattr`."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names} & POSIX_MODULES
        elif isinstance(node, ast.ImportFrom) and node.module in POSIX_MODULES | set(POSIX_NAMES):
            names = {name.name for name in node.names}
            found |= {node.module} if node.module in POSIX_MODULES else names & POSIX_NAMES[str(node.module)]
        elif isinstance(node, ast.Attribute) and node.attr in POSIX_NAMES.get(ast.unparse(node.value), ()):
            found.add(ast.unparse(node))
    return found


@pytest.mark.parametrize(
    ('text', 'names'),
    [
        ('import fcntl', {'fcntl'}),
        ('from os import fork', {'fork'}),
        ('import os\nos.getuid()', {'os.getuid'}),
        ('signal.SIGKILL', {'signal.SIGKILL'}),
        ('getattr(os, "O_NOFOLLOW", 0)', set()),
        ('os.replace', set()),
    ],
)
def test_scan_finds_what_it_is_for(text: str, names: set[str]) -> None:
    assert posix_names(ast.parse(text)) == names
