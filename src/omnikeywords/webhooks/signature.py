"""Signatures of the Standard Webhooks specification 1.0.0: a receiver checks them with any of its libraries."""

import base64
import binascii
import hashlib
import hmac

from omnikeywords.errors import InvalidOption

__all__ = ["signed_headers"]

_PREFIX = "whsec_"


def signed_headers(secret: str, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers by which a receiver knows who sent a body, when, and whether it has seen it before.

    `secret` is `whsec_` and base64, `timestamp` seconds since 1970 of this try. Raises InvalidOption for a secret
    that is neither.
    """
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        raise InvalidOption(f"webhook secret is not {_PREFIX} and base64: remove the webhook and add it anew") from None
    digest = hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }
