"""The composition root: builds every service once per process, from settings. Nothing else builds services.

One class in five parts, each on top of the one before it: ``foundation`` (configuration, storage, ticket systems),
``sources`` (what asks and tells Microsoft's services), ``road`` (webhook, queue, worker), ``timers``, and ``requests``,
whose last class is what triggers and the command line use.

Imports are made where a service is first used, so that a webhook's cold start pays for none of the others.
"""
