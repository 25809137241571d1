"""One folder per outside system. Each knows that system's API and nothing of queues, Functions or the others."""
