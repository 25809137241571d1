"""Microsoft Defender for Cloud as a source: recommendations, findings and alerts, and who has to fix them."""
