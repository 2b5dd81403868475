"""Exits with 0 when a gRPC server says that it serves: ``grpc_health.py HOST:PORT``."""

import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

with grpc.insecure_channel(sys.argv[1]) as channel:
    stub = health_pb2_grpc.HealthStub(channel)
    status = stub.Check(health_pb2.HealthCheckRequest(), timeout=4).status
sys.exit(0 if status == health_pb2.HealthCheckResponse.SERVING else 1)
