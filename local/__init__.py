"""Never deployed: a small Functions host, the simulators and the demo, all for this machine."""
