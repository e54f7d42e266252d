"""The gRPC carrier: request and answer, and the job stream between buyer and node.

Public: `server.Server`, `connection.connect`, `frames.FrameStream`, and one module for each
service (`market`, `node`). The schema is protocol/proto; handlers are derived from its descriptors.
"""
