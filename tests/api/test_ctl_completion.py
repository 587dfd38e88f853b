# SPDX-License-Identifier: Apache-2.0
"""Completion of command lines of xenolithctl, in the shells themselves."""
import os
import re
import shutil
import subprocess

import pytest

from harness import TIMEOUT
from instances import CTL


def script(shell):
    done = subprocess.run([CTL, "completion", shell], capture_output=True, text=True, check=True,
                          timeout=TIMEOUT)
    assert done.stderr == ""
    return done.stdout


def listed(*args):
    """The words that --help lists: commands, or options."""
    text = subprocess.run([CTL, *args, "--help"], capture_output=True, text=True, check=True,
                          timeout=TIMEOUT).stdout
    if args:
        return re.findall(r"^ +(?:-\w, )?(--[\w-]+)", text, re.M)
    return re.findall(r"^  (\w+) ", text, re.M)


COMMANDS = listed()


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_scripts_are_well_formed(shell):
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    subprocess.run([shell, "-n"], input=script(shell), text=True, check=True, timeout=TIMEOUT)
    if shell == "bash" and shutil.which("shellcheck"):
        subprocess.run(["shellcheck", "-s", "bash", "-"], input=script(shell), text=True,
                       check=True, timeout=TIMEOUT)


@pytest.mark.parametrize("word", ["fish", "", "Bash"])
def test_other_shells_are_refused(word):
    done = subprocess.run([CTL, "completion", word], capture_output=True, text=True, check=False,
                          timeout=TIMEOUT)
    assert done.returncode == 153 and done.stdout == "" and "bash or zsh" in done.stderr


# ---- bash, asked without a terminal ----

ASK = """
eval "$("$CTL" completion bash)"
complete -p xenolithctl > /dev/null || exit 1
compopt() { :; }
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_xenolithctl "$CTL"
printf '%s\\n' "${COMPREPLY[@]}"
"""


def offered(instances, *words, cwd=None):
    """What bash offers for the last of the words, split as bash splits them."""
    done = subprocess.run(["bash", "-c", ASK, "bash", "xenolithctl", *words], check=True,
                          capture_output=True, text=True, timeout=TIMEOUT, cwd=cwd,
                          env={**os.environ, "CTL": os.path.abspath(CTL),
                               "XENOLITH_RUN_DIR": instances.dir})
    assert done.stderr == ""
    return sorted(done.stdout.split())


@pytest.fixture
def some(instances):
    for name in ("web1", "web2", "db.77"):
        instances.add(name, os.getpid())
    instances.add("web-dead", 1, alive=False)
    return instances


def test_bash_offers_commands(instances):
    assert offered(instances, "") == sorted(COMMANDS)
    assert offered(instances, "pa") == ["pause"]
    assert offered(instances, "--json", "res") == ["resume"]


@pytest.mark.parametrize("command", COMMANDS)
def test_bash_offers_options(instances, command):
    assert set(listed(command)) <= set(offered(instances, command, "-"))
    assert "--json" in offered(instances, command, "--js")


def test_bash_offers_instances_that_live(some):
    assert offered(some, "pause", "") == ["db.77", "web1", "web2"]
    assert offered(some, "logs", "-n", "5", "-f", "w") == ["web1", "web2"]
    assert offered(some, "pause", "web1", "") == [], "there is no second word"
    assert offered(some, "api", "-i", "w") == ["web1", "web2"]
    assert offered(some, "api", "--instance", "=", "web1") == ["web1"]
    assert offered(some, "api", "--instance", "=") == ["db.77", "web1", "web2"]
    assert offered(some, "ps", "") == []


def test_bash_asks_in_the_run_directory_that_is_named(some, tmp):
    os.mkdir(os.path.join(tmp, "empty"))
    assert offered(some, "--run-dir", os.path.join(tmp, "empty"), "pause", "") == []
    assert offered(some, "pause", "--run-dir", "=", os.path.join(tmp, "empty"), "") == []


def test_bash_offers_files(instances, tmp):
    for name in ("kernel-a", "kernel-b", "other"):
        with open(os.path.join(tmp, name), "w", encoding="utf-8"):
            pass
    os.mkdir(os.path.join(tmp, "kernels"))
    assert offered(instances, "run", "--kernel", "ker", cwd=tmp) == [
        "kernel-a", "kernel-b", "kernels"]
    assert offered(instances, "--run-dir", "k", cwd=tmp) == ["kernels"]
    assert offered(instances, "run", "--memory", "", cwd=tmp) == []


def test_bash_offers_shells(instances):
    assert offered(instances, "completion", "") == ["bash", "zsh"]


# ---- both, on a terminal ----

SHELLS = {
    "bash": ["bash --norc --noprofile", '. <("$CTL" completion bash)'],
    "zsh": ["zsh -f", 'mkdir -p "$D"; "$CTL" completion zsh > "$D/_xenolithctl"; '
                      'fpath=("$D" $fpath); autoload -U compinit; compinit -u -D'],
}


@pytest.fixture(params=SHELLS)
def shell(request, some, open_terminal, tmp):
    """A shell that can complete, in a terminal."""
    if not shutil.which(request.param):
        pytest.skip(f"{request.param} is not installed")
    start, setup = SHELLS[request.param]
    terminal = open_terminal(100, 30, start)
    path = os.path.dirname(os.path.abspath(CTL))
    terminal.enter(f"PATH={path}:$PATH CTL={os.path.abspath(CTL)} D={tmp}/functions; "
                   f"export XENOLITH_RUN_DIR={some.dir}")
    terminal.enter(setup)
    terminal.enter("clear; echo rea''dy")
    terminal.wait_for("^ready")
    return terminal


TYPED = [
    ("xenolithctl pau\t", r"xenolithctl pause ?$"),
    ("xenolithctl pause d\t", r"xenolithctl pause db\.77 ?$"),
    ("xenolithctl logs --fol\t", r"xenolithctl logs --follow ?$"),
    ("xenolithctl logs -n 5 db\t", r"xenolithctl logs -n 5 db\.77 ?$"),
    ("xenolithctl api --instance d\t", r"xenolithctl api --instance db\.77 ?$"),
    ("xenolithctl completion z\t", r"xenolithctl completion zsh ?$"),
    ("xenolithctl run --kernel /etc/pass\t", r"xenolithctl run --kernel /etc/passwd"),
    ("xenolithctl pause \t\t", r"db\.77 +web1 +web2"),
]


def test_tab_completes(shell):
    for typed, completed in TYPED:
        shell.type(typed)
        shell.wait_for(completed)
        shell("send-keys", "C-u")
