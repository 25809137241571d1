"""The engine: receives signals, decides, keeps tickets up to date. Knows no outside system, and not Azure Functions."""
