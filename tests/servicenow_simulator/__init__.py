"""Tests of the ServiceNow simulator, each behaviour over real sockets."""
