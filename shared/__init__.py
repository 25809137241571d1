"""The domain and the road that every signal takes. Knows no outside system and nothing of Azure Functions."""
