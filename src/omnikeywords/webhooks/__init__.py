"""Webhooks: word of what became of imports, sent to where a project wants it.

Hides how a message is signed, where it may be sent and where never, how long it is tried, and what is done with one
that cannot be delivered. A part above announces an import in the transaction in which it ends.
"""

from omnikeywords.webhooks.delivery import DELIVER, DeadLetter, Deliveries
from omnikeywords.webhooks.sender import Sender
from omnikeywords.webhooks.signature import signed_headers

__all__ = ["DELIVER", "DeadLetter", "Deliveries", "Sender", "signed_headers"]
