"use strict";
(() => {
  const every = Number(document.body.dataset.refreshSeconds) * 1000;
  const doctorEvery = 60000;
  const content = document.getElementById("content");
  const findings = document.getElementById("findings");
  const stale = document.getElementById("stale");
  const updated = document.getElementById("updated");
  const pause = document.getElementById("pause");
  let paused = false, asking = false, problem = "";
  let received = now(), looked = null, takenAt = verdict().dataset.takenAt;

  function verdict() {
    return content.querySelector("[data-taken-at]");
  }

  // Both clocks: one stops while the machine sleeps, the other may be set back.
  function now() {
    return { ran: performance.now(), wall: Date.now() };
  }

  function since(moment) {
    return Math.max(performance.now() - moment.ran, Date.now() - moment.wall);
  }

  // The server has escaped everything; what it sends is put in as it is.
  async function fetchPart(part, milliseconds) {
    const canceller = new AbortController();
    const timer = setTimeout(() => canceller.abort(), milliseconds);
    try {
      const answer = await fetch("?part=" + part, {
        credentials: "same-origin", cache: "no-store", redirect: "error", signal: canceller.signal,
      });
      if (answer.status === 401 || answer.status === 403) throw new Error("You are logged out: reload the page.");
      if (!answer.ok || answer.headers.get("X-Celery-Health-Part") !== part) throw new Error("The server answered " + answer.status + ".");
      const template = document.createElement("template");
      template.innerHTML = await answer.text();
      return template.content;
    } catch (error) {
      if (error.name === "AbortError") throw new Error("The server does not answer.");
      if (error.name === "TypeError") throw new Error("The server cannot be reached, or you are logged out: reload the page.");
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  // What somebody has opened, scrolled to or stands on stays as it is.
  function replace(place, fresh) {
    const open = new Map([...place.querySelectorAll("details[id]")].map((each) => [each.id, each.open]));
    const scrolled = new Map([...place.querySelectorAll(".wide")].map((each) => [each.firstElementChild.id, each.scrollLeft]));
    const focused = place.contains(document.activeElement) ? document.activeElement.id : "";
    for (const each of fresh.querySelectorAll("details[id]")) if (open.has(each.id)) each.open = open.get(each.id);
    place.replaceChildren(fresh);
    for (const each of place.querySelectorAll(".wide")) each.scrollLeft = scrolled.get(each.firstElementChild.id) || 0;
    const again = focused && document.getElementById(focused);
    if (again) again.focus({ preventScroll: true });
  }

  function isSelecting(place) {
    const selection = document.getSelection();
    return selection !== null && !selection.isCollapsed && place.contains(selection.anchorNode);
  }

  // A page that is not updated must never look as if all were well.
  function tellAge() {
    const age = since(received);
    const isStale = paused || age > 3 * every;
    const text = (paused ? "Paused: not" : "Not") + " updated; what is below may be wrong. " + problem;
    updated.textContent = "Updated " + Math.round(age / 1000) + " s ago.";
    document.body.classList.toggle("is-stale", isStale);
    stale.hidden = !isStale;
    if (isStale && stale.textContent !== text) stale.textContent = text;
    document.title = (isStale ? "not known · " : "") + verdict().dataset.title;
  }

  async function refresh() {
    if (paused || asking || document.hidden) return;
    if (isSelecting(content)) {
      problem = "Text is selected.";
      return;
    }
    asking = true;
    try {
      const fresh = await fetchPart("content", 20000);
      // The same answer once more, from some cache, is no news.
      const freshTakenAt = fresh.querySelector("[data-taken-at]").dataset.takenAt;
      if (paused || freshTakenAt === takenAt) return;
      takenAt = freshTakenAt;
      replace(content, fresh);
      received = now();
      problem = "";
    } catch (error) {
      problem = error.message;
    } finally {
      asking = false;
      tellAge();
    }
  }

  async function look() {
    if (paused || document.hidden || isSelecting(findings) || (looked !== null && since(looked) < doctorEvery)) return;
    looked = now();
    try {
      replace(findings, await fetchPart("doctor", 60000));
    } catch (error) {
      findings.textContent = "The findings are not known. " + error.message;
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
