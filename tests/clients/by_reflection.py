"""Calls gRPC services whose descriptors come from server reflection, without the proto files."""

import grpc
from google.protobuf import descriptor_pool, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase


class Services:
    """The services of the server at an address, in plain text unless credentials are given."""

    def __init__(self, address, credentials=None):
        options = [("grpc.max_receive_message_length", 64 << 20)]
        if address.startswith("unix:"):
            # Otherwise grpcio sends the path as the authority, percent-encoded, which HTTP/2 servers in Rust reject.
            options.append(("grpc.default_authority", "localhost"))
        if credentials:
            self.channel = grpc.secure_channel(address, credentials, options=options)
        else:
            self.channel = grpc.insecure_channel(address, options=options)
        self.database = ProtoReflectionDescriptorDatabase(self.channel)
        self.pool = descriptor_pool.DescriptorPool(self.database)

    def call(self, method, members=None, timeout=120, metadata=None, serialized=None, via=None):
        """Calls `<package>.<service>/<method>` with a request built from the server's descriptors, or with the bytes `serialized`, over
        the channel `via` if one is given."""
        service, name = method.split("/")
        descriptor = self.pool.FindServiceByName(service).FindMethodByName(name)
        request = message_factory.GetMessageClass(descriptor.input_type)
        response = message_factory.GetMessageClass(descriptor.output_type)
        via = via or self.channel
        kind = via.unary_stream if descriptor.server_streaming else via.unary_unary
        stub = kind(f"/{service}/{name}", request_serializer=lambda bytes_: bytes_, response_deserializer=response.FromString)
        body = serialized if serialized is not None else request(**(members or {})).SerializeToString()
        return stub(body, timeout=timeout, metadata=metadata)
