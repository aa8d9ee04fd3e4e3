"""The details of a failed call, as one typed value."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import grpc
from google.rpc import error_details_pb2, status_pb2

from triptych_client import v1


@dataclass(frozen=True)
class FieldViolation:
    """A field of a request that is invalid."""

    field: str
    """The path of the field, for example `messages[0].text`."""
    description: str
    """The rule that its value breaks."""


@dataclass(frozen=True)
class ErrorDetails:
    """Why a call failed."""

    code: grpc.StatusCode
    """The gRPC status."""
    message: str
    """A human-readable message."""
    reason: v1.ErrorReason.ValueType = v1.ERROR_REASON_UNSPECIFIED
    """The reason. Unspecified if the failure is one of the connection, or if this version does not know `reason_name`."""
    reason_name: str = ""
    """The name of the reason without its prefix, for example `INVALID_FIELD`. Empty if the error does not come from Triptych."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Further facts, for example `upstream_code`; see `ErrorReason`."""
    retry_delay: float | None = None
    """The seconds after which a retry can succeed, where they are known."""
    field_violations: tuple[FieldViolation, ...] = ()
    """The invalid fields of the request."""
    request_id: str | None = None
    """The id of the call in the logs of the server."""

    @property
    def may_have_executed(self) -> bool:
        """Whether the upstream may have executed, and billed, the request although the call failed."""
        return self.metadata.get("may_have_executed") == "true"


def error_details(error: grpc.RpcError) -> ErrorDetails:
    """Returns the details of a failed call, from either client."""
    trailers = {item[0]: item[1] for item in error.trailing_metadata() or ()}  # type: ignore[index]
    found: dict[str, bytes] = {}
    if isinstance(encoded := trailers.get("grpc-status-details-bin"), bytes):
        found = {detail.type_url.rpartition("/")[2]: detail.value for detail in status_pb2.Status.FromString(encoded).details}
    info = error_details_pb2.ErrorInfo.FromString(found.get("google.rpc.ErrorInfo", b""))
    reason_name = info.reason if info.domain == "triptych" else ""
    retry = found.get("google.rpc.RetryInfo")
    invalid = error_details_pb2.BadRequest.FromString(found.get("google.rpc.BadRequest", b""))
    request_id = trailers.get("x-request-id")
    return ErrorDetails(
        code=error.code(),
        message=error.details() or "",
        reason=_reason(reason_name),
        reason_name=reason_name,
        metadata=dict(info.metadata),
        retry_delay=error_details_pb2.RetryInfo.FromString(retry).retry_delay.ToTimedelta().total_seconds() if retry else None,
        field_violations=tuple(FieldViolation(item.field, item.description) for item in invalid.field_violations),
        request_id=request_id if isinstance(request_id, str) else None,
    )


def _reason(name: str) -> v1.ErrorReason.ValueType:
    """Returns the reason with this name. Reasons may be added to the contract, so a name may be unknown."""
    known = v1.ErrorReason.keys()
    return v1.ErrorReason.Value(full) if (full := f"ERROR_REASON_{name}") in known else v1.ERROR_REASON_UNSPECIFIED
