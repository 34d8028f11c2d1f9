// findings.js - what gtrace report finds in this trace, the worst first: each with its cost, what helps, and a way to its worst moment.
import { ask } from "./ask.js";
import { about as short, moment, make, jump, folded, stackList } from "./text.js";
import { $, page, choose } from "./page.js";
import { openTab } from "./tabs.js";

const POLL_MS = 250;
let asked = null, found = false;

// Found once: the server reads the file anew for it, when all of it is shown already.
async function look() {
  for (;;) {
    const answer = await ask("findings");
    if (!answer.looking) return answer;
    await new Promise(done => setTimeout(done, POLL_MS));
  }
}

export async function findings(box, current) {
  if (page.model.info.reading) return void box.append(make("p", "What cost the most time is looked for when the trace has been read.", "quiet"));
  asked ||= look();
  if (!found && current()) $("tab").replaceChildren(make("p", "Looking for what cost the most time…", "quiet"));
  let answer;
  try {
    answer = await asked;
    found = true;
  } catch (error) {
    asked = null;
    throw error;
  }
  if (answer.error) return void box.append(make("p", "Nothing could be looked for: " + answer.error + ".", "quiet"));
  if (!answer.findings.length) {
    const p = make("p", "No findings: nothing that waits costs a tenth of a goroutine. Where its time went all the same: ", "quiet");
    p.append(jump("Functions", () => openTab("groups")), ", ", jump("Durations", () => openTab("durations")), ".");
    return void box.append(p);
  }
  const list = make("ol", null, "findings");
  for (const finding of answer.findings) list.append(item(finding));
  box.append(list);
}

function item(finding) {
  const li = make("li"), head = make("div"), cost = make("div", `cost ${short(finding.lost_ns)} of goroutines' time`, "soft"), there = () => go(finding);
  head.append(finding.goroutine ? jump(finding.title, there, "to its worst moment") : make("strong", finding.title));
  if (finding.goroutine) cost.append("; the worst: ", jump(`G${finding.goroutine} at ${moment(finding.at_ns, 1e5)}, for ${short(finding.for_ns)}`, there));
  if (finding.culprit_goroutine) cost.append("; held up by ", jump("G" + finding.culprit_goroutine, () => go({ ...finding, goroutine: finding.culprit_goroutine }), "what it did meanwhile"));
  li.append(head, cost);
  if (finding.advice) li.append(make("div", "try: " + finding.advice));
  const more = make("div");
  for (const line of (finding.detail || "").split("\n").filter(Boolean)) more.append(make("div", line));
  for (const [stack, what] of [[finding.stack, "Waits in"], [finding.culprit_stack, "Meanwhile in"]]) if (stack?.length) more.append(make("h3", what), stackList(stack));
  if (more.childNodes.length) li.append(folded("more", more));
  return li;
}

async function go(finding) {
  const found = await ask("find", { g: finding.goroutine });
  if (found.error) return;
  if (!page.model.rows.has(found.row)) page.model.rows.set(found.row, found);
  choose(found.row, undefined, { at: finding.at_ns, go: true });
}
