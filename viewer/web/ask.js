// ask.js - questions to the server, and whether it is still there.

export const server = { gone: false, changed: () => {} };

export async function ask(what, params = {}) {
  let answer;
  try {
    answer = await fetch("api/" + what + "?" + new URLSearchParams(params));
  } catch (error) {
    note(true);
    throw error;
  }
  note(false);
  if (!answer.ok) throw new Error(what + ": " + answer.status);
  return answer.headers.get("Content-Type").includes("json") ? answer.json() : answer.arrayBuffer();
}

function note(gone) {
  if (server.gone === gone) return;
  server.gone = gone;
  server.changed();
}
