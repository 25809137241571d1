"""The local host, Azurite's runner and ``python -m local up``, over real sockets, processes and a real Azurite."""
