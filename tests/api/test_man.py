# SPDX-License-Identifier: Apache-2.0
"""The manual pages: complete, and without a fault."""
import os
import re
import shutil
import subprocess

import pytest

from harness import TIMEOUT, TOP, binary
from instances import CTL

PROGRAMS = {"xenolith": binary(), "xenolithctl": CTL}


def run(*argv, **more):
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=TIMEOUT,
                          **more).stdout


def render(name, program=None):
    return run(os.path.join(TOP, "docs/man/render"), program or PROGRAMS[name],
               os.path.join(TOP, f"docs/man/{name}.1.in"))


@pytest.fixture(scope="module", params=PROGRAMS)
def page(request):
    """(name, roff)"""
    return request.param, render(request.param)


@pytest.mark.parametrize("lint", [["mandoc", "-T", "lint", "-W", "warning"],
                                  ["groff", "-man", "-ww", "-z", "-Tutf8"]],
                         ids=lambda lint: lint[0])
def test_no_fault(page, lint):
    if not shutil.which(lint[0]):
        pytest.skip(f"{lint[0]} is not installed")
    done = subprocess.run(lint, input=page[1], capture_output=True, text=True, check=False,
                          timeout=TIMEOUT)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def shown(page):
    """As lines without emphasis."""
    if not shutil.which("mandoc"):
        pytest.skip("mandoc is not installed")
    return re.sub(".\b", "", run("mandoc", "-T", "ascii", "-O", "width=300", input=page[1]))


def test_every_option_and_command_is_in_it(page):
    name, text = page[0], shown(page)
    helps = [run(PROGRAMS[name], "--help")]
    if name == "xenolithctl":
        for command in re.findall(r"^  (\w+) ", helps[0], re.M):
            helps.append(run(CTL, command, "--help"))
            usage = re.search("^usage: (.*)$", helps[-1], re.M)[1]
            assert re.search(rf"^ +{re.escape(usage)}$", text, re.M), usage
    options = {o for h in helps for o in re.findall(r"^ +(?:-\w, )?(--[\w-]+)", h, re.M)}
    assert len(options) > 10
    for option in options:
        assert re.search(rf"^ +(-\w, )?{option}( |$)", text, re.M), option
    for h in helps:
        for words in re.findall(r"^ +(?:-\w, )?--\S+ .* {2,}(\S.*)$", h, re.M):
            assert words in text, words


def test_no_trace_of_the_source(page):
    text = shown(page)
    assert "@" not in text and "\\" not in text
    for section in ("NAME", "SYNOPSIS", "DESCRIPTION", "EXIT STATUS", "FILES", "SEE ALSO"):
        assert re.search(rf"^{section}$", text, re.M), section


def test_text_cannot_become_a_request(tmp):
    """Of a program whose help looks like roff."""
    program = os.path.join(tmp, "program")
    with open(program, "w", encoding="utf-8") as f:
        f.write("#!/bin/sh\ncat << 'END'\n  --a  .B \\fB\n  --b  'x\n\n.SH c\nEND\n")
    os.chmod(program, 0o755)
    page = render("xenolith", program)
    assert "\n\\&.B \\efB\n" in page and "\n\\&'x\n" in page and "\n\\&.SH c\n" in page


def test_what_is_no_option_is_noticed(tmp):
    program = os.path.join(tmp, "program")
    with open(program, "w", encoding="utf-8") as f:
        f.write("#!/bin/sh\necho '  --a  word  another  third'\n")
    os.chmod(program, 0o755)
    with pytest.raises(subprocess.CalledProcessError) as e:
        render("xenolith", program)
    assert "not an option" in e.value.stderr
