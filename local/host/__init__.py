"""A small stand-in for the Azure Functions host: runs a Python v2 function app on this machine.

    python -m local.host --app DIR --port 7071

One process, one event loop. Read the modules in this order:

    host_json   what host.json says, checked                 settings  local.settings.json, %NAME%, connections
    bindings    what a function is to the host               loader    function_app.py -> functions
    invoke      one call of a function, and its log line     outputs   Out values -> queue messages
    routes      route templates                              keys      function keys and the admin key
    http        HTTP triggers, /admin                        queues    queue triggers
    schedule    NCRONTAB                                     singleton a blob lease that one process holds
    timers      timer triggers                               server    all of it together: class Host
    log         log lines                                    supervisor  several worker processes

Where Azure's host does something surprising that an app could trip over, this one does the same and says so.
What it cannot do is refused when it starts, never ignored. One thing is different on purpose, see ``outputs``.
"""
