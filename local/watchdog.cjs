// Loaded into Azurite with node --require: stops it, in order, when the process that started it is gone.
// That process holds the other end of standard input open and writes nothing; its end closes it.
process.stdin.resume();
process.stdin.unref(); // watching alone is no reason to go on
process.stdin.on("end", () => process.kill(process.pid, "SIGTERM"));
