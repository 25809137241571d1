"""Microsoft Defender for Cloud as a source that the bridge asks and tells: assessments and who has to fix them."""
