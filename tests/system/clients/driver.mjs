// Runs one client library for a test: a line of JSON in is a request, a line of JSON out its result.
// The same as driver.py, for Node.
import { createInterface } from "node:readline";

// ask(request, signal) does one call of the library and returns what it saw.
export async function serve(ask) {
  // The fetch of Node 18 throws from within, where nobody can catch it, when a stream that was given
  // up still gets bytes ("Controller is already closed"). Nothing is wrong with what we saw by then.
  process.on("uncaughtException", (error) => {
    console.error(error);
    if (error?.code !== "ERR_INVALID_STATE") {
      process.exit(1);
    }
  });
  const results = process.stdout.write.bind(process.stdout);
  console.log = console.info = console.warn = console.error;
  results('"ready"\n');
  for await (const line of createInterface({ input: process.stdin })) {
    const request = JSON.parse(line);
    const begun = performance.now();
    const leaving = new AbortController();
    const leave = () => leaving.abort();
    process.on("SIGUSR2", leave);
    let result = await ask(request, leaving.signal);
    process.off("SIGUSR2", leave);
    if (leaving.signal.aborted) {
      result = { left: true };
    }
    result.id = request.id;
    result.seconds = (performance.now() - begun) / 1000;
    results(JSON.stringify(result) + "\n");
  }
}
