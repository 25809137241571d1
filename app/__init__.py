"""Composition: the plug-ins of the app (``registry.py``) and the services made of them (``container.py``)."""
