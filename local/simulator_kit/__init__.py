"""What every simulator of an outside system is made of: HTTP and HTTPS listeners, requests and answers, a request log,
a journal of changes, a clock that tests can move, settings, fault injection, a control API and a command line.

To write a simulator ``local/example``:

1. ``settings.py``: ``class Settings(Switches)`` with one ``switch(default, help)`` per behaviour that differs.
2. ``call.py``: ``class Call(calls.Call)`` with what your API knows of a request, such as the signed-in user.
3. A state class with ``clock``, ``settings``, ``requests``, ``scenarios`` and ``reset`` (see ``control.Simulated``).
4. ``faults.py``: your catalogue ``COMMON_KINDS | {...}`` and ``class Faults(faults.Faults[Call])`` for your own kinds.
5. ``frontend.py``: ``class Frontend(frontend.Frontend[Call])`` with ``receive``, ``answer`` and ``respond``.
6. ``control.py``: ``class Control(control.Control)`` whose ``more_endpoints`` show and change your data.
7. ``server.py``: ``running()`` builds the state and opens ``server.listening(...)``; ``__main__.py`` calls
   ``command.main``.

``tests/simulator_kit`` has the smallest simulator that works. The kit imports none of the simulators.
"""
