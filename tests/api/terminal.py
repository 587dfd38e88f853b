# SPDX-License-Identifier: Apache-2.0
"""A real terminal, in tmux, with a shell in it."""
import os
import re
import subprocess

from harness import TIMEOUT, wait_until


class Tmux:
    """A terminal of its own with a shell in it."""

    def __init__(self, path, columns, lines, shell="bash --norc --noprofile"):
        self.asked = 0
        # No configuration, and a server that no other knows.
        self.base = ["tmux", "-S", path, "-f", "/dev/null"]
        env = {k: v for k, v in os.environ.items() if k not in ("TMUX", "TMUX_PANE")}
        subprocess.run([*self.base, "new-session", "-d", "-x", str(columns), "-y", str(lines),
                        f"PS1='$ ' exec {shell}"], check=True, timeout=TIMEOUT,
                       stdin=subprocess.DEVNULL, env={**env, "LC_ALL": "C.UTF-8"})

    def __call__(self, *args):
        return subprocess.run([*self.base, *args], check=True, capture_output=True, text=True,
                              timeout=TIMEOUT, stdin=subprocess.DEVNULL).stdout

    def text(self):
        return self("capture-pane", "-p")

    def lines(self):
        return self.text().rstrip("\n").split("\n")

    def type(self, text):
        self("send-keys", "-l", text)

    def enter(self, command):
        self.type(command)
        self("send-keys", "Enter")

    def wait_for(self, pattern):
        return wait_until(lambda: re.search(pattern, self.text(), re.M), pattern)

    def settings(self):
        """Of the terminal; without its size."""
        self.asked += 1
        self.enter(f"clear; stty -g; echo end of ''{self.asked}")
        return self.wait_for(rf"^([0-9a-f:]+)\nend of {self.asked}$")[1]

    def modes(self):
        """Whether the cursor is shown, whether it is the other screen."""
        return self("display-message", "-p", "#{cursor_flag}#{alternate_on}").strip()
