"""A bounded, seeded storm on this machine, and what became of it. Never deployed.

Sizes, seconds and call budgets are scaled down: one window of the budget stands for ServiceNow's hour.
"""
