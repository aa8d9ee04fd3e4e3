import { Code, ConnectError } from "@connectrpc/connect";
import { durationMs } from "@bufbuild/protobuf/wkt";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "./gen/google/rpc/error_details_pb.js";
import { ErrorReason } from "./gen/v1.js";

/** A field of a request that is invalid. */
export interface FieldViolation {
  /** The path of the field, for example `messages[0].text`. */
  readonly field: string;
  /** The rule that its value breaks. */
  readonly description: string;
}

/** Why a call failed. */
export interface ErrorDetails {
  /** The gRPC status. */
  readonly code: Code;
  /** A human-readable message. */
  readonly message: string;
  /** The reason. Unspecified if the failure is one of the connection, or if this version does not know `reasonName`. */
  readonly reason: ErrorReason;
  /** The name of the reason, for example `INVALID_FIELD`. Empty if the error does not come from Triptych. */
  readonly reasonName: string;
  /** Further facts, for example `upstream_code`; see `ErrorReason`. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Whether the upstream may have executed, and billed, the request although the call failed. */
  readonly mayHaveExecuted: boolean;
  /** The milliseconds after which a retry can succeed, where they are known. */
  readonly retryDelayMs: number | undefined;
  /** The invalid fields of the request. */
  readonly fieldViolations: readonly FieldViolation[];
  /** The id of the call in the logs of the server. */
  readonly requestId: string | undefined;
}

/** Returns the details of a failed call. Other values than the errors of calls become details with the code `Unknown`. */
export function errorDetails(error: unknown): ErrorDetails {
  const connectError = ConnectError.from(error);
  const [info] = connectError.findDetails(ErrorInfoSchema);
  const [retry] = connectError.findDetails(RetryInfoSchema);
  const reasonName = info?.domain === "triptych" ? info.reason : "";
  const metadata = info?.metadata ?? {};
  return {
    code: connectError.code,
    message: connectError.rawMessage,
    // Reasons may be added to the contract, so a name may be unknown.
    reason: ErrorReason[reasonName as keyof typeof ErrorReason] ?? ErrorReason.UNSPECIFIED,
    reasonName,
    metadata,
    mayHaveExecuted: metadata.may_have_executed === "true",
    retryDelayMs: retry?.retryDelay && durationMs(retry.retryDelay),
    fieldViolations: connectError.findDetails(BadRequestSchema).flatMap((detail) => detail.fieldViolations),
    requestId: connectError.metadata.get("x-request-id") ?? undefined,
  };
}

/**
 * Returns whether another attempt can succeed: the server is unavailable, or the connection broke. The codes of a broken
 * connection are those of connect-node and of proxies; an error of Triptych with one of them has a reason.
 */
export function isTransient({ code, reasonName }: ErrorDetails): boolean {
  const broken = [Code.Aborted, Code.Canceled, Code.Internal, Code.Unknown];
  return code === Code.Unavailable || (reasonName === "" && broken.includes(code));
}
