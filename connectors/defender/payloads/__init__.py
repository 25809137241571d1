"""Microsoft Defender for Cloud: recommendations (assessments), their findings (sub-assessments) and security alerts.

One reader per kind of object, whatever brought it: workflow automation, continuous export, Resource Graph or Resource
Manager. Keys compare without case, so that differences of spelling between those do not matter.
"""
