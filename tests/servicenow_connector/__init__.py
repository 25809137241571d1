"""The ServiceNow connector, over real sockets."""
