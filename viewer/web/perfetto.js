// perfetto.js - the trace to a tab of ui.perfetto.dev: that page asks for nothing, it is handed the bytes, after a click only.

const ORIGIN = "https://ui.perfetto.dev", TRIES = 600, EACH_MS = 50;

export async function openInPerfetto(say) {
  const other = window.open(ORIGIN);
  if (!other) return say("the browser let no other tab open");
  say("the trace is being converted for Perfetto");
  try {
    const answer = await fetch("trace.pftrace");
    if (!answer.ok) throw new Error(await answer.text());
    say(await hand(other, await answer.arrayBuffer()) ? "" : "Perfetto's page did not answer: is it open, and online?");
  } catch (error) {
    say("not opened in Perfetto: " + error.message);
  }
}

// Its page listens some time after it was opened: PING until it says PONG, then the trace, once.
async function hand(other, buffer) {
  let ready = false;
  const listener = e => {
    if (ready || e.source !== other || e.origin !== ORIGIN || e.data !== "PONG") return;
    ready = true;
    other.postMessage({ perfetto: { buffer, title: document.title, fileName: "trace.pftrace", localOnly: true } }, ORIGIN);
  };
  addEventListener("message", listener);
  for (let i = 0; i < TRIES && !ready && !other.closed; i++) {
    other.postMessage("PING", ORIGIN);
    await new Promise(done => setTimeout(done, EACH_MS));
  }
  removeEventListener("message", listener);
  return ready;
}
