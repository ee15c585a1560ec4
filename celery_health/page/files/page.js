"use strict";
// Keeps the page up to date, and says when it cannot. Without it every page works: it is reloaded, forms are sent.
(() => {
  const body = document.body;
  const every = Number(body.dataset.refreshSeconds) * 1000;
  const refreshes = body.dataset.refreshes === "yes";
  const content = document.getElementById("content");
  const stale = document.getElementById("stale");
  const live = document.getElementById("live");
  const pause = document.getElementById("pause");
  const icon = document.getElementById("icon");
  const findingsEvery = 60000;
  let paused = false, asking = false, problem = "", received = now(), looked = null;

  function findings() {
    return document.getElementById("findings-now");
  }

  function main() {
    return document.getElementById("main");
  }

  // Both clocks: one stops while the machine sleeps, the other may be set back.
  function now() {
    return { ran: performance.now(), wall: Date.now() };
  }

  function since(moment) {
    return Math.max(performance.now() - moment.ran, Date.now() - moment.wall);
  }

  // Where a project's policy asks for trusted types: the text is our own server's.
  const trusted = (window.trustedTypes || { createPolicy: (name, rules) => rules }).createPolicy("celery-health", { createHTML: (text) => text });

  // The server has escaped everything; what it sends is put in as it is.
  async function fetchPart(part, milliseconds) {
    const canceller = new AbortController();
    const timer = setTimeout(() => canceller.abort(), milliseconds);
    const query = body.dataset.again ? body.dataset.again + "&part=" + part : "part=" + part;
    try {
      const answer = await fetch("?" + query, {
        credentials: "same-origin", cache: "no-store", redirect: "error", signal: canceller.signal,
      });
      if (answer.status === 401 || answer.status === 403) throw new Error("You are logged out: reload the page.");
      if (!answer.ok || answer.headers.get("X-Celery-Health-Part") !== part) throw new Error("The server answered " + answer.status + ".");
      const template = document.createElement("template");
      template.innerHTML = trusted.createHTML(await answer.text());
      return template.content;
    } catch (error) {
      if (error.name === "AbortError") throw new Error("The server does not answer.");
      if (error.name === "TypeError") throw new Error("The server cannot be reached, or you are logged out: reload the page.");
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  // Only what differs is changed: what somebody has opened, selected, scrolled to or stands on stays as it is.
  function patch(old, fresh) {
    if (old.hasAttribute("data-kept")) return; // has a part of its own
    for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && !isTheirs(old, name)) old.removeAttribute(name);
    for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value && !isTheirs(old, name)) old.setAttribute(name, value);
    patchChildren(old, fresh);
  }

  function isTheirs(element, name) {
    return name === "open" && element.nodeName === "DETAILS";
  }

  function isSame(old, fresh) {
    return old.nodeType === fresh.nodeType && old.nodeName === fresh.nodeName && (old.id || "") === (fresh.id || "");
  }

  function patchChildren(old, fresh) {
    let next = old.firstChild;
    for (const child of [...fresh.childNodes]) {
      let match = next;
      while (match && match.nodeName === "BUTTON" && match.classList.contains("copy")) match = match.nextSibling;
      // Something was taken out or put in before it: what has an id is found again.
      if (match && !isSame(match, child) && child.id) match = [...old.children].find((each) => isSame(each, child)) || null;
      if (!match || !isSame(match, child)) {
        old.insertBefore(child, next);
        continue;
      }
      while (next !== match) {
        const gone = next;
        next = next.nextSibling;
        gone.remove();
      }
      next = match.nextSibling;
      if (match.nodeType !== Node.ELEMENT_NODE) {
        if (match.nodeValue !== child.nodeValue) match.nodeValue = child.nodeValue;
      } else if (!match.isEqualNode(child)) {
        patch(match, child);
      }
    }
    while (next) {
      const gone = next;
      next = next.nextSibling;
      if (!(gone.nodeName === "BUTTON" && gone.classList.contains("copy"))) gone.remove();
    }
  }

  function isSelecting(place) {
    const selection = document.getSelection();
    return selection !== null && !selection.isCollapsed && place.contains(selection.anchorNode);
  }

  // A page that is not updated must never look as if all were well.
  function tellAge() {
    const age = since(received);
    const isStale = paused || !refreshes || age > 3 * every;
    body.classList.add("was-live");
    body.classList.toggle("is-stale", isStale && refreshes);
    stale.hidden = !isStale || !refreshes;
    live.textContent = paused ? "paused" : !refreshes ? "as of " + main().dataset.time : isStale ? "not live" : "live, " + Math.round(age / 1000) + " s";
    live.classList.toggle("on", !isStale);
    const text = (paused ? "Paused: not" : "Not") + " updated; what is below may be wrong. " + problem;
    if (!stale.hidden && stale.textContent !== text) stale.textContent = text;
    const title = (isStale && refreshes ? "not known · " : "") + main().dataset.title;
    if (document.title !== title) document.title = title;
    const href = icon.dataset.icons + (isStale ? "unknown" : main().dataset.status) + ".svg";
    if (icon.getAttribute("href") !== href) icon.setAttribute("href", href);
  }

  async function refresh() {
    if (!refreshes || paused || asking || document.hidden) return;
    if (isSelecting(content)) {
      problem = "Text is selected.";
      return;
    }
    asking = true;
    try {
      const fresh = await fetchPart("content", 20000);
      // The same answer once more, from some cache, is no news.
      if (paused || fresh.querySelector("main").dataset.takenAt === main().dataset.takenAt) return;
      patchChildren(content, fresh);
      addCopyButtons(content);
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
    const place = findings();
    if (!place || paused || document.hidden || isSelecting(place) || (looked !== null && since(looked) < findingsEvery)) return;
    looked = now();
    try {
      patchChildren(place, await fetchPart("doctor", 60000));
      addCopyButtons(place);
    } catch (error) {
      place.textContent = "The findings are not known. " + error.message;
    }
  }

  function addCopyButtons(place) {
    if (!navigator.clipboard) return; // only over https, or on this machine
    for (const source of place.querySelectorAll("code.command, pre.copied")) {
      if (source.nextElementSibling && source.nextElementSibling.classList.contains("copy")) continue;
      const button = document.createElement("button");
      button.type = "button";
      button.className = "copy";
      button.textContent = "Copy";
      source.after(button);
    }
  }

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button.copy");
    if (!button) return;
    try {
      await navigator.clipboard.writeText(button.previousElementSibling.textContent);
      button.textContent = "Copied";
    } catch (error) {
      button.textContent = "Not copied: select it";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.nodeName)) return;
    event.preventDefault();
    document.getElementById("q").focus();
  });
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    pause.textContent = paused ? "Go on" : "Pause";
    tellAge();
    refresh();
  });
  document.addEventListener("visibilitychange", () => { tellAge(); refresh(); look(); });
  pause.hidden = !refreshes;
  if (findings() && findings().dataset.kept === "fresh") looked = now();
  addCopyButtons(content);
  setInterval(tellAge, 1000);
  setInterval(() => { refresh(); look(); }, every);
  look();
  tellAge();
})();
