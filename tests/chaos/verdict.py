"""How a call ended: right, refused by a message that helps, or one of the kinds of failure."""

import re
from dataclasses import dataclass

from tests.chaos.child import FOREIGN

GOOD = ("right", "refused", "goes on")
_WAY_OUT = re.compile(
    r"\b(run again|remove|delete|give|free|use|choose|make|mount|wait|let it|same command|copy|"
    r"restore|update|install|finish|repeat|put|makes?|mend|start(s? again| anew)|allow|go(es)? on|"
    r"chmod|move|save)\b"
)


@dataclass(frozen=True)
class Verdict:
    """The kind of an end, and what was seen."""

    kind: str
    seen: str = ""

    @property
    def good(self):
        """Whether this is how it should end."""
        return self.kind in GOOD


def of_refusal(ended, *, names=()):
    """Judge a call that failed: it needs one message, which names the file and a way out."""
    last = ended.err.strip().splitlines()[-1:] or [""]
    if ended.code < 0:
        return Verdict("killed", f"signal {-ended.code}: {last[0]}")
    if ended.code == FOREIGN or "Traceback" in ended.text:
        return Verdict("foreign", last[0])
    if len(ended.messages) != 1:
        return Verdict("messages", f"{len(ended.messages)} messages: {ended.err[-300:]}")
    message = ended.messages[0] + ended.err.split(ended.messages[0], 1)[1]
    if names and not any(name in message for name in names):
        return Verdict("unnamed", message)
    if not _WAY_OUT.search(message):
        return Verdict("no way out", message)
    return Verdict("refused", message)
