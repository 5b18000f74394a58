"""Webhooks: word of what became of imports, sent to where a project wants it.

Hides how a message is signed, where it may be sent and where never, how long it is tried, and what is done with one
that cannot be delivered. A part above announces an event in the transaction in which it happens.
"""

from omnikeywords.webhooks.delivery import Deliveries, DeliveryOptions
from omnikeywords.webhooks.destination import Rules, destination
from omnikeywords.webhooks.sender import Answer, Sender
from omnikeywords.webhooks.signature import signed_headers

__all__ = ["Answer", "Deliveries", "DeliveryOptions", "Rules", "Sender", "destination", "signed_headers"]
