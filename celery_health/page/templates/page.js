"use strict";
(() => {
  const every = Number(document.body.dataset.refreshSeconds) * 1000;
  const doctorEvery = 60000;
  const content = document.getElementById("content");
  const findings = document.getElementById("findings");
  const stale = document.getElementById("stale");
  const updated = document.getElementById("updated");
  const pause = document.getElementById("pause");
  let paused = false, asking = false, lookedAt = -Infinity, receivedAt = performance.now(), problem = "";

  // The server has escaped everything; what it sends is put in as it is.
  async function fetchPart(part, seconds) {
    const answer = await fetch("?part=" + part, {
      credentials: "same-origin", cache: "no-store", redirect: "error", signal: AbortSignal.timeout(seconds * 1000),
    });
    if (answer.status === 401 || answer.status === 403) throw new Error("You are not logged in any more: reload the page.");
    if (!answer.ok || answer.headers.get("X-Celery-Health-Part") !== part) throw new Error("The server answered " + answer.status + ".");
    const template = document.createElement("template");
    template.innerHTML = await answer.text();
    return template.content;
  }

  function replace(place, fresh) {
    const open = new Map([...place.querySelectorAll("details[id]")].map((each) => [each.id, each.open]));
    for (const each of fresh.querySelectorAll("details[id]")) if (open.has(each.id)) each.open = open.get(each.id);
    place.replaceChildren(fresh);
  }

  // A page that is not updated must never look as if all were well.
  function tellAge() {
    const seconds = Math.round((performance.now() - receivedAt) / 1000);
    const isStale = paused || seconds * 1000 > 3 * every;
    const verdict = content.querySelector("[data-title]");
    updated.textContent = "Updated " + seconds + " s ago.";
    document.body.classList.toggle("is-stale", isStale);
    stale.hidden = !isStale;
    if (isStale) stale.textContent = (paused ? "Paused: not" : "Not") + " updated for " + seconds + " s; what is below may be wrong. " + problem;
    if (verdict) document.title = (isStale ? "not known · " : "") + verdict.dataset.title;
  }

  async function refresh() {
    if (paused || asking || document.hidden) return;
    asking = true;
    try {
      const fresh = await fetchPart("content", 20);
      if (!paused) {
        replace(content, fresh);
        receivedAt = performance.now();
        problem = "";
      }
    } catch (error) {
      problem = error.name === "TypeError" ? "The server cannot be reached." : error.message;
    } finally {
      asking = false;
      tellAge();
    }
  }

  async function look() {
    if (paused || document.hidden || performance.now() - lookedAt < doctorEvery) return;
    lookedAt = performance.now();
    try {
      replace(findings, await fetchPart("doctor", 60));
    } catch (error) {
      findings.textContent = "The findings are not known: " + error.message;
    }
  }

  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    pause.textContent = paused ? "Go on" : "Pause updates";
    tellAge();
    refresh();
  });
  document.addEventListener("visibilitychange", () => { tellAge(); refresh(); look(); });
  setInterval(tellAge, 1000);
  setInterval(() => { refresh(); look(); }, every);
  findings.textContent = "Looking …";
  look();
  tellAge();
})();
