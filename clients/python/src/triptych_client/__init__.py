"""Typed gRPC client of Triptych, a gateway to chat, image and video generation.

`connect` returns a synchronous client, `triptych_client.aio.connect` one for asyncio. `triptych_client.v1` has the messages.
"""

from triptych_client import aio, v1
from triptych_client._client import Client, connect
from triptych_client._errors import ErrorDetails, FieldViolation, error_details

__all__ = ["Client", "ErrorDetails", "FieldViolation", "aio", "connect", "error_details", "v1"]
